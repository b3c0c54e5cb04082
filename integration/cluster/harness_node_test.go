// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// node is a Caddy in a process of its own.
type node struct {
	rig.Process

	name  string
	admin string
	keys  []string // of sealing

	transport *http.Transport // sends everything to this node, whatever host is asked for
}

func newNode(t testing.TB, dir, name string, keys []string) *node {
	t.Helper()
	n := &node{name: name, admin: rig.Free(t), keys: keys}
	n.Dir, n.Addr = filepath.Join(dir, name), rig.Free(t)
	if err := os.MkdirAll(filepath.Join(n.Dir, "control"), 0o700); err != nil {
		t.Fatal(err)
	}
	dialer := new(net.Dialer)
	n.transport = &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, n.Addr)
	}}
	t.Cleanup(func() {
		n.transport.CloseIdleConnections()
		n.End(syscall.SIGKILL)
		output := n.Output()
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := strings.Index(output, bad); i >= 0 {
				t.Errorf("%s: %s", n.name, output[i:min(len(output), i+6000)])
			}
		}
	})
	return n
}

// stop stops the process, and returns when all its threads have stopped. A signal takes a while to
// reach all threads, and one of them might handle an answer in the meantime.
func (n *node) stop() error {
	n.Signal(syscall.SIGSTOP)
	tasks := fmt.Sprintf("/proc/%d/task/*/stat", n.PID())
	for range 10_000 {
		files, err := filepath.Glob(tasks)
		if err != nil || len(files) == 0 {
			return fmt.Errorf("%s has ended: %w", n.name, err)
		}
		stopped := 0
		for _, file := range files {
			text, _ := os.ReadFile(file)
			// The file is "pid (name) state …". A thread may have ended.
			if _, state, ok := strings.Cut(string(text), ") "); !ok || strings.HasPrefix(state, "T") {
				stopped++
			}
		}
		if stopped == len(files) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s does not stop", n.name)
}

// control writes a file of the tricky storage's, or removes it if text is "".
func (n *node) control(t testing.TB, name, text string) {
	t.Helper()
	file := filepath.Join(n.Dir, "control", name)
	err := os.Remove(file)
	if text != "" {
		if err = os.WriteFile(file+".new", []byte(text), 0o600); err == nil {
			err = os.Rename(file+".new", file)
		}
	}
	if err != nil && text != "" {
		t.Fatal(err)
	}
}

// held reports whether the node is stopped at a write of a datasource's record.
func (n *node) held(datasource string) bool {
	_, err := os.Stat(filepath.Join(n.Dir, "control", "held-"+datasource))
	return err == nil
}

// request sends a request to this node as a user.
func (n *node) request(ctx context.Context, method, target, user string, jar http.CookieJar, connection string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, "", err
	}
	req.SetBasicAuth(user, "secret")
	if connection != "" {
		req.Header.Set("X-Connection", connection)
	}
	c := &http.Client{
		Transport: n.transport, Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// get asks the API for something through this node, over a connection's datasource.
func (n *node) get(ctx context.Context, connection string) (status int, body string, err error) {
	datasource, user := split(connection)
	res, body, err := n.request(ctx, http.MethodGet, publicURL+"/"+datasource+"/x", user, nil, connection)
	if err != nil {
		return 0, "", err
	}
	return res.StatusCode, body, nil
}

// wantServed fails the test unless the API serves a request through this node.
func (n *node) wantServed(t testing.TB, connection string) {
	t.Helper()
	if status, body, err := n.get(t.Context(), connection); err != nil || status != http.StatusOK {
		t.Fatalf("%s answers a request of %s with %d %q, %v", n.name, connection, status, body, err)
	}
}

// state is what a node says of a connection.
type state struct {
	Datasource string `json:"datasource"`
	Connection string `json:"connection"`
	State      string `json:"state"`
	Generation int    `json:"generation"`
	LastError  string `json:"last_error"`
}

// states returns what the node says of all connections, but not of datasources without one.
func (n *node) states(t testing.TB) map[string]state {
	t.Helper()
	res, err := adminClient.Get("http://" + n.admin + "/authenticated_api/connections")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var list []state
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	states := make(map[string]state)
	for _, s := range list {
		if s.State == "not_connected" {
			continue
		}
		name := s.Datasource
		if s.Connection != "" {
			name += "/" + s.Connection
		}
		states[name] = s
	}
	return states
}

var adminClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// act presses a button of the console on this node.
func (n *node) act(t testing.TB, connection, action string, jar http.CookieJar) *http.Response {
	t.Helper()
	datasource, user := split(connection)
	res, body, err := n.request(t.Context(), http.MethodPost, publicURL+"/connect/"+datasource+"/"+action, user, jar, "")
	if err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s of %s on %s: %v %q, %v", action, connection, n.name, res, body, err)
	}
	return res
}

func newJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // no error is possible
	return jar
}

// split returns the datasource of a connection and the user whose it is. The shared one is ann's.
func split(connection string) (datasource, user string) {
	datasource, user, own := strings.Cut(connection, "/")
	if !own {
		user = "ann"
	}
	return datasource, user
}

var connected atomic.Int64
