// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// waysOfAssertion are the ways of client authentication that send an assertion.
var waysOfAssertion = []string{ClientSecretJWT, PrivateKeyJWT, AssertionFile}

// assertionFor returns what a way needs, and the judge of its assertions. The judge of
// assertion_file is nil.
func assertionFor(way, tokenURL string) (*Assertion, *judge) {
	j := &judge{id: "my id", audience: tokenURL, lifetime: time.Minute}
	switch way {
	case ClientSecretJWT:
		j.alg, j.key = "HS256", []byte(oauthtest.ClientSecret+"-of-32-bytes")
		return new(Assertion), j
	case PrivateKeyJWT:
		key := rig.SigningKeys()["ES256"]
		j.alg, j.key, j.header = "ES256", key.Public(), map[string]string{"kid": "k1", "x5t#S256": "thumb"}
		return &Assertion{Key: &ClientKey{Signer: key, ID: "k1", Algorithm: "ES256", Thumbprint: "thumb"}}, j
	default:
		return &Assertion{Text: "a.b+c.d"}, nil
	}
}

// TestAssertionWire compares whole requests, byte for byte, and has each assertion verified: no
// request has one that another had, and nothing else authenticates the client.
func TestAssertionWire(t *testing.T) {
	w := oauthtest.NewWire(t)
	const (
		top   = " HTTP/1.1\r\nHost: HOST\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: LENGTH\r\n"
		asks  = "Accept: application/json\r\nAccept-Encoding: identity\r\n"
		end   = "Content-Type: " + formType + "\r\n\r\n"
		proof = "client_assertion=ASSERTION&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=my+id"
	)
	for _, way := range waysOfAssertion {
		tokenURL := w.URL() + "?tenant=a"
		assertion, judge := assertionFor(way, tokenURL)
		cfg := &Config{
			TokenURL: tokenURL, RevocationURL: "http://" + w.Addr + "/revoke", ClientID: "my id", ClientSecret: oauthtest.ClientSecret + "-of-32-bytes",
			ClientAuth: way, Assertion: assertion, Scopes: []string{"a"}, Timeout: 10 * time.Second,
		}
		client := New(nil, nil)
		t.Cleanup(client.CloseIdleConnections)
		ctx := context.Background()
		own := *cfg
		own.ClientAuth, own.Assertion, own.RefreshClientAuth, own.RefreshAssertion = ClientAuthNone, nil, way, assertion
		refresh := "POST /token?tenant=a" + top + asks + end + proof + "&grant_type=refresh_token&refresh_token=r"
		for _, request := range []struct {
			name string
			send func() error
			want string
		}{
			{
				"credentials", func() error { _, err := client.Credentials(ctx, cfg); return err },
				"POST /token?tenant=a" + top + asks + end + proof + "&grant_type=client_credentials&scope=a",
			},
			{
				"exchange", func() error { _, err := client.Exchange(ctx, cfg, "zz", "ver"); return err },
				"POST /token?tenant=a" + top + asks + end + proof + "&code=zz&code_verifier=ver&grant_type=authorization_code",
			},
			{"refresh", func() error { _, err := client.Refresh(ctx, cfg, "r"); return err }, refresh},
			{"refresh in its own way", func() error { _, err := client.Refresh(ctx, &own, "r"); return err }, refresh},
			{
				"revocation", func() error { return client.Revoke(ctx, cfg, "", "r") },
				"POST /revoke" + top + end + proof + "&token=r&token_type_hint=refresh_token",
			},
		} {
			for range 2 {
				if err := request.send(); err != nil {
					t.Fatalf("%s, %s: %v", way, request.name, err)
				}
				got, sent := cutAssertion(t, <-w.Requests)
				if want := strings.Replace(request.want, "HOST", w.Addr, 1); got != want {
					t.Errorf("%s, %s: got\n%q\nwant\n%q", way, request.name, got, want)
				}
				if judge != nil {
					judge.verify(t, sent)
				} else if sent != assertion.Text {
					t.Errorf("%s: sent %q", way, sent)
				}
			}
		}
	}
}

// TestAssertionJSON: the same parameters as a JSON object.
func TestAssertionJSON(t *testing.T) {
	w := oauthtest.NewWire(t)
	assertion, judge := assertionFor(PrivateKeyJWT, w.URL())
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	cfg := &Config{TokenURL: w.URL(), ClientID: "my id", ClientAuth: PrivateKeyJWT, Assertion: assertion, JSON: true, Timeout: 10 * time.Second}
	if _, err := client.Refresh(t.Context(), cfg, "r"); err != nil {
		t.Fatal(err)
	}
	header, body, _ := strings.Cut(<-w.Requests, "\r\n\r\n")
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	judge.verify(t, got["client_assertion"])
	want := `{"client_assertion":"` + got["client_assertion"] + `","client_assertion_type":"` + assertionType +
		`","client_id":"my id","grant_type":"refresh_token","refresh_token":"r"}`
	if body != want || strings.Contains(header, "\r\nAuthorization:") {
		t.Errorf("got %q\n%q, want %q", header, body, want)
	}
}

// TestAssertionAfterFailure: whatever became of a request, the next one has an assertion of its
// own. The provider takes the first for used.
func TestAssertionAfterFailure(t *testing.T) {
	for name, fail := range map[string]http.HandlerFunc{
		"refused":  oauthtest.Respond(400, `{"error":"invalid_client"}`),
		"broken":   oauthtest.Respond(503, ""),
		"no reply": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var mu sync.Mutex
		var sent []string
		url := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			sent = append(sent, r.PostFormValue("client_assertion"))
			n := len(sent)
			mu.Unlock()
			if n < 3 {
				fail(w, r)
				return
			}
			io.WriteString(w, `{"access_token":"t","refresh_token":"r2"}`)
		})
		assertion, judge := assertionFor(PrivateKeyJWT, url)
		cfg := configOf(url)
		cfg.ClientID, cfg.ClientAuth, cfg.Assertion = "my id", PrivateKeyJWT, assertion
		client := New(nil, nil)
		t.Cleanup(client.CloseIdleConnections)
		for i := range 3 {
			_, err := client.Refresh(t.Context(), cfg, "r")
			if (err == nil) != (i == 2) {
				t.Fatalf("%s, attempt %d: %v", name, i, err)
			}
		}
		mu.Lock()
		if len(sent) != 3 {
			t.Errorf("%s: %d requests", name, len(sent))
		}
		for _, one := range sent {
			judge.verify(t, one)
		}
		mu.Unlock()
	}
}

// TestAssertionOfBothRevocations: two tokens are revoked with an assertion each.
func TestAssertionOfBothRevocations(t *testing.T) {
	w := oauthtest.NewWire(t)
	assertion, judge := assertionFor(PrivateKeyJWT, w.URL())
	cfg := &Config{TokenURL: w.URL(), RevocationURL: w.URL(), ClientID: "my id", ClientAuth: PrivateKeyJWT, Assertion: assertion, Timeout: 10 * time.Second}
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	if err := client.Revoke(t.Context(), cfg, "a", "r"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, sent := cutAssertion(t, <-w.Requests)
		judge.verify(t, sent)
	}
}

// TestAudience: what is configured counts, then the issuer, then the token endpoint. It is so for
// revocation, too.
func TestAudience(t *testing.T) {
	w := oauthtest.NewWire(t)
	assertion, judge := assertionFor(PrivateKeyJWT, w.URL())
	cfg := &Config{TokenURL: w.URL(), RevocationURL: w.URL() + "/revoke", ClientID: "my id", ClientAuth: PrivateKeyJWT, Assertion: assertion, Timeout: 10 * time.Second}
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	for _, step := range []func(){
		func() {},
		func() { cfg.Issuer, judge.audience = "https://issuer.example", "https://issuer.example" },
		func() { assertion.Audience, judge.audience = "urn:other", "urn:other" },
		func() { assertion.Lifetime, judge.lifetime = 5*time.Minute, 5*time.Minute },
		func() { assertion.Lifetime, judge.lifetime = 3*time.Second, 3*time.Second },
	} {
		step()
		_, err := client.Credentials(t.Context(), cfg)
		if err := errors.Join(err, client.Revoke(t.Context(), cfg, "a", "")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, sent := cutAssertion(t, <-w.Requests)
			judge.verify(t, sent)
		}
	}
}

// TestAssertionErrors: what is missing is named with its option; nothing is sent, and no error
// shows a key.
func TestAssertionErrors(t *testing.T) {
	ec := rig.SigningKeys()["ES256"]
	for name, test := range map[string]struct {
		way, id, secret string
		assertion       *Assertion
		hints           []string
	}{
		"no assertion":     {PrivateKeyJWT, "i", "", nil, []string{PrivateKeyJWT, "key is missing"}},
		"no key":           {PrivateKeyJWT, "i", "", new(Assertion), []string{PrivateKeyJWT, "key is missing"}},
		"no client_id":     {PrivateKeyJWT, "", "", &Assertion{Key: &ClientKey{Signer: ec, Algorithm: "ES256"}}, []string{"client_id is missing"}},
		"no algorithm":     {PrivateKeyJWT, "i", "", &Assertion{Key: &ClientKey{Signer: ec}}, []string{"algorithm", "not known"}},
		"none":             {PrivateKeyJWT, "i", "", &Assertion{Key: &ClientKey{Signer: ec, Algorithm: "none"}}, []string{"algorithm", "not known"}},
		"another key":      {PrivateKeyJWT, "i", "", &Assertion{Key: &ClientKey{Signer: ec, Algorithm: "RS256"}}, []string{PrivateKeyJWT, "signing with RS256"}},
		"another curve":    {PrivateKeyJWT, "i", "", &Assertion{Key: &ClientKey{Signer: rig.SigningKeys()["ES384"], Algorithm: "ES256"}}, []string{PrivateKeyJWT, "signing with ES256"}},
		"no secret":        {ClientSecretJWT, "i", "", nil, []string{"client_secret is missing"}},
		"secret, ES256":    {ClientSecretJWT, "i", oauthtest.ClientSecret, &Assertion{Algorithm: "ES256"}, []string{"algorithm", "HS256"}},
		"secret, none":     {ClientSecretJWT, "i", oauthtest.ClientSecret, &Assertion{Algorithm: "none"}, []string{"algorithm", "HS256"}},
		"empty file":       {AssertionFile, "i", "", new(Assertion), []string{AssertionFile, "JSON Web Token"}},
		"mutual TLS, http": {TLSClientAuth, "i", "", nil, []string{TLSClientAuth, "https"}},
	} {
		asked := false
		cfg := configOf(oauthtest.Serve(t, func(http.ResponseWriter, *http.Request) { asked = true }))
		cfg.ClientID, cfg.ClientSecret, cfg.ClientAuth, cfg.Assertion = test.id, test.secret, test.way, test.assertion
		client := New(nil, nil)
		_, err := client.Credentials(t.Context(), cfg)
		if asked || err == nil || slices.ContainsFunc(test.hints, func(hint string) bool { return !strings.Contains(err.Error(), hint) }) {
			t.Errorf("%s: %v does not say %q", name, err, test.hints)
		}
		if err := client.Revoke(t.Context(), cfg, "a", ""); err == nil || asked {
			t.Errorf("%s: revocation: %v", name, err)
		}
		if err != nil && oauthtest.Leaks(oauthtest.AnyText(err)+logged(t, err)) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAssertionIsNotShown: a provider that repeats an assertion does not get it into a log.
func TestAssertionIsNotShown(t *testing.T) {
	for _, way := range waysOfAssertion {
		var sent string
		url := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			sent = r.PostFormValue("client_assertion")
			w.WriteHeader(401)
			text, _ := json.Marshal("wrong assertion " + sent)
			io.WriteString(w, `{"error":"invalid_client","error_description":`+string(text)+`}`)
		})
		cfg := configOf(url)
		cfg.ClientAuth = way
		cfg.Assertion, _ = assertionFor(way, url)
		client := New(nil, nil)
		_, err := client.Credentials(t.Context(), cfg)
		revokeErr := client.Revoke(t.Context(), cfg, "a", "")
		for _, err := range []error{err, revokeErr} {
			e, ok := err.(*Error) //nolint:errorlint // it is what requests return
			if !ok || e.Description != "wrong assertion •••" {
				t.Errorf("%s: %v", way, err)
				continue
			}
			if e.ClientAuth != way || !strings.Contains(e.Remedy(), "check client_id") || strings.Contains(e.Remedy(), "client_secret_basic_raw") {
				t.Errorf("%s: the remedy is %q", way, e.Remedy())
			}
		}
		if text := cfg.Describe("x " + cfg.Assertion.Text); cfg.Assertion.Text != "" && strings.Contains(text, cfg.Assertion.Text) {
			t.Errorf("%s: %q", way, text)
		}
	}
}
