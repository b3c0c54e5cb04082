// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestSealedValues has every kind of value sealed by the command with a key file, and opened by a
// Caddy with that key.
func TestSealedValues(t *testing.T) {
	key, err := output(t, "", "keygen")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_KEY", key)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed := func(plain string) string {
		text, err := output(t, plain, "seal", "--key-file", file)
		if err != nil || !strings.HasPrefix(text, "sealed:v1:") {
			t.Fatalf("%q, %v", text, err)
		}
		return text
	}
	const secret = `s3cret {env.HOME} \{ }`
	for name, test := range map[string]struct {
		block string
		want  string
	}{
		"bearer":  {"auth bearer " + sealed(secret+"\n"), "Authorization: Bearer " + secret},
		"basic":   {"auth basic ann " + sealed("password"), "Authorization: Basic YW5uOnBhc3N3b3Jk"},
		"api key": {"auth api_key X-Key " + sealed(secret) + " {\nprefix " + sealed("Token") + "\n}", "X-Key: Token " + secret},
		"header":  {"header X-A " + sealed(secret) + "\nheader X-B {http.request.method}", "X-A: " + secret},
		"query":   {"query a " + sealed("b c"), "GET /?a=b%20c HTTP/1.1"},
		"signature": {"signature " + sealed("0123456789abcdef0123456789abcdef") + " {\nissuer " + sealed("me") + "\nclaim who " + sealed("you") +
			"\n}", "X-Appsmith-Signature: "},
	} {
		t.Run(name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "{\nadmin off\nauto_https off\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\n"+
				"authenticated_api http://"+api.Addr+" {\n"+test.block+"\n}\n}")
			rig.Get(t, gateway, "/", "")
			if got := one(t, api); !strings.Contains(got, test.want) {
				t.Errorf("the API got %q, without %q", got, test.want)
			}
		})
	}
	other, err := output(t, "", "keygen")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_OTHER", other)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for name, test := range map[string]struct{ global, block, want string }{
		"another key": {"key {env.TEST_OTHER}", "auth bearer " + sealed("hunter2"), "which is not among the configured ones"},
		"no key":      {"", "auth bearer " + sealed("hunter2"), "there is no key"},
		"damaged":     {"key {env.TEST_KEY}", "auth bearer " + sealed("hunter2")[:60], "damaged"},
		"short key":   {"key aHVudGVyMg==", "auth none", "32 random bytes"},
		"certificate": {"key {env.TEST_KEY}", "self_signed_cert " + sealed("hunter2"), "neither the text of a PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			err := rig.Load("{\nadmin off\nauthenticated_api {\n" + test.global + "\n}\n}\nhttp://" + rig.Free(t) +
				" {\nauthenticated_api https://api.example.com {\n" + test.block + "\n}\n}")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "*", "*.key")); err != nil || len(left) > 0 {
		t.Errorf("loading a configuration has made %v (%v)", left, err)
	}
}

// TestSealRunning seals with the key of a running Caddy, which has none until then: it makes one,
// and opens what it sealed after a restart.
func TestSealRunning(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("AppData", home)
	api := rig.NewAPI(t, nil)
	admin := rig.Free(t)
	caddyfile := func(token string) string {
		return "{\nadmin " + admin + "\nauto_https off\n}\nhttp://GATEWAY {\nauthenticated_api http://" + api.Addr + " {\nauth bearer " + token + "\n}\n}"
	}
	rig.Start(t, caddyfile("t"))
	sealed, err := output(t, "from the running one\n", "seal", "--address", admin)
	if err != nil {
		t.Fatal(err)
	}
	gateway := rig.Start(t, caddyfile(sealed))
	rig.Get(t, gateway, "/", "")
	if got := one(t, api); !strings.Contains(got, "Authorization: Bearer from the running one\r\n") {
		t.Errorf("the API got %q", got)
	}

	// A key that is configured later does not take away what the made one has sealed.
	key, err := output(t, "", "keygen")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_KEY", key)
	gateway = rig.Start(t, strings.Replace(caddyfile(sealed), "auto_https off\n", "auto_https off\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n", 1))
	rig.Get(t, gateway, "/", "")
	if got := one(t, api); !strings.Contains(got, "Authorization: Bearer from the running one\r\n") {
		t.Errorf("with a configured key, the API got %q", got)
	}

	// The endpoint takes POST only, and something.
	for _, test := range []struct {
		method, body string
		want         int
	}{{"GET", "", 405}, {"POST", "", 400}, {"POST", "x", 200}} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+admin+"/authenticated_api/seal", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer map[string]any
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != test.want {
			t.Errorf("%s %q: %d %v %v, want %d", test.method, test.body, res.StatusCode, answer, err, test.want)
		}
		res.Body.Close()
	}
	if _, err := output(t, "", "seal", "--address", admin); err == nil {
		t.Error("nothing on standard input was sealed")
	}
}
