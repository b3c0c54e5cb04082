// SPDX-License-Identifier: Apache-2.0

package issuers

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestClientKeyRotation: two keys are published at once, by their key_id, and each of them may
// sign, so that a rotation fails no request. A key that signs before the provider has asked for it
// is refused.
func TestClientKeyRotation(t *testing.T) {
	gateway := rig.Free(t)
	is := startIssuer(t, gateway, rig.NewCertificate(t))
	api := rig.NewAPI(t, func(string) string { return rig.OK("served") })
	oldKey, _ := clientKey(t)
	newKey, _ := clientKey(t)
	before, after := "key "+rig.Save(t, oldKey)+" old\n", "key "+rig.Save(t, newKey)+" new\n"
	t.Cleanup(func() { _ = caddy.Stop() })
	const published = "fetched /connect/jwks.json"
	for _, step := range []struct {
		name    string
		ahead   int // seconds that pass before
		keys    string
		served  bool
		fetched int // how often the provider has asked for the keys after it
	}{
		{"the old key", 0, before, true, 1},
		{"the new one signs at once", 0, after + before, false, 1}, // what was fetched holds for five minutes
		{"the new one is published", 301, before + after, true, 1}, // oidc-provider asks when it meets a key that it does not know
		{"the new one signs", 0, after + before, true, 2},
		{"the old one signs again", 0, before + after, true, 2}, // it knows both
		{"the old one is gone", 0, after, true, 2},
	} {
		is.seen(t, step.ahead)
		rig.Stop(t, gateway) // each step begins without a token, and so with a token request
		// The clock of the provider is before that of the gateway, so the assertion lives longer.
		if err := rig.Load("{\nadmin off\nauto_https off\nstorage file_system " + t.TempDir() + "\n}\nhttp://" + gateway + " {\n" +
			"handle_path /connect/* {\nauthenticated_api_console\n}\nauthenticated_api http://" + api.Addr + " {\nname a\n" +
			"auth oauth2 client_credentials {\ntoken_url " + is.Plain + "/token\nclient_id \"of private_key_jwt\"\n" +
			"client_auth private_key_jwt {\naudience " + is.Plain + "\nlifetime 1h\n" + step.keys + "}\n}\n}\n}"); err != nil {
			t.Fatal(err)
		}
		res := rig.Get(t, gateway, "/x", "")
		if (res.StatusCode == 200) != step.served {
			t.Errorf("%s: %d %s", step.name, res.StatusCode, res.Text)
		}
		if got := is.seen(t, 0)[published]; got != step.fetched {
			t.Errorf("%s: the keys were fetched %d times, want %d", step.name, got, step.fetched)
		}
	}
}

// TestAccountByKey: a client that has a key and no secret pushes its authorization request,
// redeems the code, refreshes and revokes, all by assertions of that key; oidc-provider takes no
// assertion twice, and refuses all that are for somebody else.
func TestAccountByKey(t *testing.T) {
	gateway := rig.Free(t)
	is := startIssuer(t, gateway, rig.NewCertificate(t))
	api := rig.NewAPI(t, func(string) string { return rig.OK("served") })
	keyPEM, _ := clientKey(t)
	if err := rig.Load("{\nadmin off\nauto_https off\nstorage file_system " + t.TempDir() + "\n}\nhttp://" + gateway + " {\n" +
		"handle_path /connect/* {\nauthenticated_api_console {\nuser {http.request.header.X-Test-User}\noperators ann\n}\n}\n" +
		"authenticated_api http://" + api.Addr + " {\nname a\n" +
		"auth oauth2 authorization_code {\ndiscover " + is.Plain + "\nclient_id account\nredirect_url http://" + gateway + "/connect/callback\n" +
		"scopes openid offline_access\nclient_auth private_key_jwt {\nkey " + rig.Save(t, keyPEM) + " k1\n}\n}\n}\n}"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	person := newPerson(t, gateway)
	tokens := make(map[string]bool)
	served := func() {
		t.Helper()
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 {
			t.Fatalf("%d %s; %v", res.StatusCode, res.Text, is.seen(t, 0))
		}
		_, token, _ := strings.Cut(api.Request(t), "Authorization: Bearer ")
		tokens[token] = true
	}
	person.press("a/connect")
	served()
	for range 2 {
		person.press("a/refresh")
		served()
	}
	person.press("a/disconnect")
	counts := is.seen(t, 0)
	if len(tokens) != 3 || counts["pushed_authorization_request.success"] != 1 || counts["access_token.saved"] != 3 ||
		counts["refresh_token.destroyed"]+counts["grant.revoked"] == 0 {
		t.Errorf("%d tokens; oidc-provider has seen %v", len(tokens), counts)
	}
	for what := range counts {
		if strings.Contains(what, "error") {
			t.Errorf("oidc-provider: %s", what)
		}
	}
}

// person is somebody at the console.
type person struct {
	t       *testing.T
	console string
	http    *http.Client
}

func newPerson(t *testing.T, gateway string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, "http://" + gateway + "/connect/", &http.Client{Jar: jar, Timeout: time.Minute}}
}

// press presses a button of the console, and follows where that leads.
func (p *person) press(button string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.console+button, strings.NewReader(url.Values{}.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Origin", strings.TrimSuffix(p.console, "/connect/"))
	req.Header.Set("X-Test-User", "ann")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		p.t.Fatalf("%s leads to %s: %d %v\n%s", button, res.Request.URL.Path, res.StatusCode, err, body)
	}
}
