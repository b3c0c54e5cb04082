// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestOwnKeysShared has a user type a key at one node: it serves at all, is nowhere in clear, and
// outlives them. Another one takes its place everywhere, and nobody is served any more once it is
// removed.
func TestOwnKeysShared(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		ownKeysShared(t, files)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		ownKeysShared(t, redis(t))
	})
}

func ownKeysShared(t *testing.T, storage func(*cluster) func(*node) string) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("X-Key"), "canary-") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, strings.TrimPrefix(r.Header.Get("X-Key"), "canary-"))
	}))
	t.Cleanup(api.Close)
	c := newCluster(t, 3, storage, nil)
	c.more = "handle_path /tracker/* {\nauthenticated_api " + api.URL + " {\nname tracker\nauth api_key X-Key {\nconnection {http.auth.user.id}\nverify /me\n}\n}\n}\n"
	c.start(t)
	// everywhere waits until all nodes answer a user so.
	everywhere := func(user string, status int, body string, within time.Duration) {
		t.Helper()
		began := time.Now()
		for _, n := range c.nodes {
			rig.Wait(t, n.name, within, func() bool {
				got, text, err := n.get(t.Context(), "tracker/"+user)
				return err == nil && got == status && (body == "" || text == body)
			})
		}
		t.Logf("%d %s on all nodes after %v", status, body, time.Since(began).Round(time.Millisecond))
	}
	c.nodes[0].typeKey(t, "tracker/u0", "canary-first")
	c.nodes[1].typeKey(t, "tracker/u1", "canary-other")
	everywhere("u0", http.StatusOK, "first", 3*time.Second)
	everywhere("u1", http.StatusOK, "other", 3*time.Second)
	c.nodes[2].kill()
	c.restart(t, c.nodes[2])
	everywhere("u0", http.StatusOK, "first", 3*time.Second)
	c.nodes[1].typeKey(t, "tracker/u0", "canary-second")
	everywhere("u0", http.StatusOK, "second", 30*time.Second)
	c.nodes[2].act(t, "tracker/u0", "disconnect", newJar())
	if status, body, err := c.nodes[2].get(t.Context(), "tracker/u0"); err != nil || status != http.StatusUnauthorized {
		t.Errorf("the node at which it was removed answers %d %q, %v", status, body, err)
	}
	everywhere("u0", http.StatusUnauthorized, "", 30*time.Second)
	everywhere("u1", http.StatusOK, "other", time.Second)
	// Typed anew, it serves soon: who is refused is looked for once a second.
	c.nodes[0].typeKey(t, "tracker/u0", "canary-third")
	everywhere("u0", http.StatusOK, "third", 3*time.Second)
	_ = filepath.WalkDir(c.folder, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("canary")) {
				t.Errorf("%s has a key in clear", file)
			}
		}
		return nil
	})
	for _, n := range c.nodes {
		if strings.Contains(n.Output(), "canary") {
			t.Errorf("%s has written a key into its log", n.name)
		}
	}
}

// typeKey types a key into the console of this node.
func (n *node) typeKey(t *testing.T, connection, key string) {
	t.Helper()
	datasource, user := split(connection)
	form := url.Values{"key": {key}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, publicURL+"/connect/"+datasource+"/key", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, "secret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: n.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s answers the form with %s", n.name, res.Status)
	}
}

// refresh has this node renew what a datasource is served with.
func (n *node) refresh(t *testing.T, datasource string) {
	t.Helper()
	res, err := adminClient.Post("http://"+n.admin+"/authenticated_api/refresh", "application/json", strings.NewReader(`{"datasource":"`+datasource+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers refresh with %s", n.name, res.Status)
	}
}
