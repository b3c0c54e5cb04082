// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// What a peer says, and the secrets that it has been sent, or has issued.
var peerCanaries = map[string]string{
	"CANARY_PEER":   "P33rTextHk2Vw8Ls5Yd1Rb9Cz4",
	"CANARY_BEARER": "B3arerTokenJc5Rm1Hy9Pf7Wd3",
	"CANARY_CLIENT": "Cl13ntSecretMn6Xq3Tf7Wj0Eg",
	"CANARY_ACCESS": "Acc3ssTokenPu4Gy8Oa2Zi5Kv",
}

// unsolicited are answers that cannot be read, and answers after which a peer sends unsolicited
// bytes.
var unsolicited = map[string]string{
	"body":   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: LENGTH\r\n\r\nBODYBEHIND",
	"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\nBEHIND",
	"204":    "HTTP/1.1 204 No Content\r\n\r\nBEHIND",
	"304":    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\nBEHIND",
	"answer": "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nBODYHTTP/1.1 200 OK\r\nX-Seen: BEHIND\r\n\r\n",
	"words":  "BEHIND\r\n\r\n",
	"field":  "HTTP/1.1 200 OK\r\nBEHIND\r\n\r\n",
	"length": "HTTP/1.1 200 OK\r\nContent-Length: BEHIND\r\n\r\n",
	"early":  "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nBODYBEHIND",
}

// answerWith returns an answer that has a body and, behind it, the request that it answers.
func answerWith(kind, body, request string) string {
	behind := peerCanaries["CANARY_PEER"] + " you sent " + strings.NewReplacer("\r", "|", "\n", "|").Replace(request)
	return strings.NewReplacer("LENGTH", fmt.Sprint(len(body)), "HEX", fmt.Sprintf("%x", len(body)), "BODY", body, "BEHIND", behind).
		Replace(unsolicited[kind])
}

// newNoisy returns a Caddy that does not run yet, with an API and a provider that send unsolicited
// bytes, and its configuration.
func newNoisy(t *testing.T) (*process, []byte) {
	t.Helper()
	for name, secret := range peerCanaries {
		t.Setenv(name, secret)
	}
	api := rig.NewAPI(t, func(request string) string {
		kind, _, _ := strings.Cut(strings.TrimPrefix(strings.Fields(request)[1], "/"), "?")
		switch kind {
		case "unreadable":
			return rig.Response("302 Found", "Location: http://127.0.0.1:1/%zz"+peerCanaries["CANARY_PEER"]+"\r\n", "")
		case "elsewhere":
			return rig.Response("302 Found", "Location: http://127.0.0.1:1/"+peerCanaries["CANARY_PEER"]+"\r\n", "")
		case "itself":
			return rig.Response("302 Found", "Location: /itself?"+peerCanaries["CANARY_PEER"]+"\r\n", "")
		case "switched":
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + peerCanaries["CANARY_PEER"] + "\r\nConnection: upgrade\r\n\r\n"
		}
		return answerWith(kind, "ok", request)
	})
	token := rig.NewAPI(t, func(request string) string {
		return answerWith("body", `{"access_token":"`+peerCanaries["CANARY_ACCESS"]+`","expires_in":1}`, request)
	})
	site := fmt.Sprintf(`handle_path /own/* {
	authenticated_api http://%[1]s {
		name own
		auth bearer {env.CANARY_BEARER}
	}
}
handle_path /alone/* {
	authenticated_api {
		name alone
		auth bearer {env.CANARY_BEARER}
	}
	reverse_proxy %[1]s
}
handle_path /oauth/* {
	authenticated_api http://%[1]s {
		name oauth
		auth oauth2 client_credentials {
			token_url http://%[2]s/token
			client_id id
			client_secret {env.CANARY_CLIENT}
			client_auth client_secret_post
		}
	}
}
`, api.Addr, token.Addr)
	for _, path := range []string{"unreadable", "elsewhere", "itself", "switched"} {
		site += fmt.Sprintf("handle_path /%[1]s/* {\nauthenticated_api {\nname %[1]s\nauth bearer {env.CANARY_BEARER}\n}\nreverse_proxy %[2]s {\n"+
			"health_uri /%[1]s\nhealth_interval 100ms\nhealth_follow_redirects\ntransport authenticated_api {\ndatasource %[1]s\n}\n}\n}\n", path, api.Addr)
	}
	dir := tempDir(t)
	p := &process{storage: rig.StorageDir(t), log: filepath.Join(dir, "caddy.log")}
	p.Addr, p.Dir = rig.Free(t), dir
	t.Cleanup(func() { p.End(syscall.SIGKILL) })
	p.config = fmt.Sprintf("{\nadmin %s\nauto_https off\ngrace_period 1s\nstorage file_system %s\nlog second {\noutput file %s\nlevel DEBUG\n"+
		"exclude http.handlers.reverse_proxy\n}\n}\nhttp://%s {\n%s\n}\n", rig.Free(t), p.storage, p.log, p.Addr, site)
	config, err := rig.Adapt(p.config)
	if err != nil {
		t.Fatal(err)
	}
	return p, config
}

// adminOf returns the address of the admin endpoint in a configuration, and that configuration
// with a sink for the log package.
func adminOf(t *testing.T, config []byte, sink string) (admin string, withSink []byte) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(config, &object); err != nil {
		t.Fatal(err)
	}
	object["logging"].(map[string]any)["sink"] = map[string]any{"writer": map[string]any{"output": "file", "filename": sink}}
	withSink, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return object["admin"].(map[string]any)["listen"].(string), withSink
}

// TestUnsolicited: an API and a provider send bytes behind their answers, and bodies that answers
// to HEAD, 204 and 304 have not. Nothing of it reaches a log, or the process's own stderr,
// whatever Caddy has done with its logs in between. Nor does what health checks get.
func TestUnsolicited(t *testing.T) {
	p, config := newNoisy(t)
	sink := filepath.Join(p.Dir, "sink.log")
	admin, withSink := adminOf(t, config, sink)
	p.start(t)
	seen := 0
	for _, step := range []struct {
		name   string
		config string
		good   bool
	}{
		{"started", string(config), true},
		{"a sink", string(withSink), true},
		{"no sink", string(config), true},
		{"a configuration without this module that fails", `{"storage":{"module":"none"}}`, false},
		{"a configuration with a sink that fails", `{"logging":{"sink":{"writer":{"output":"stderr"}}},"apps":{"none":{}}}`, false},
	} {
		res, err := http.Post("http://"+admin+"/load", "application/json", bytes.NewReader([]byte(step.config)))
		if err != nil || res.StatusCode == http.StatusOK != step.good {
			t.Fatalf("%s: %v, %v", step.name, res, err)
		}
		res.Body.Close()
		for _, prefix := range []string{"/own/", "/alone/", "/oauth/"} {
			for _, kind := range slices.Sorted(maps.Keys(unsolicited)) {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, prefix+kind, p.Addr)
					if _, err := rig.TryExchange(p.Addr, request, 1); err != nil {
						t.Errorf("%s: %s %s: %v", step.name, method, prefix+kind, err)
					}
				}
			}
		}
		time.Sleep(500 * time.Millisecond) // for health checks, and what comes late
		text := p.Output()
		for _, file := range []string{p.log, sink} {
			part, _ := os.ReadFile(file) // there is not each of them from the beginning
			text += string(part)
		}
		for name, secret := range peerCanaries {
			if i := strings.Index(text, secret); i >= 0 {
				t.Fatalf("%s: %s is in a log: %.600s", step.name, name, text[max(0, i-300):])
			}
		}
		n := strings.Count(text, "Unsolicited response")
		if n <= seen || !strings.Contains(text, "status code out of tolerances") || !strings.Contains(text, "HTTP request failed") {
			t.Errorf("%s: net/http and health checks have seen nothing", step.name)
		}
		seen = n
	}
}
