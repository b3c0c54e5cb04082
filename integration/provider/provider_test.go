// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const callback = "http://127.0.0.1:1/callback"

func TestMain(m *testing.M) {
	// zitadel's server logs the errors that these tests cause.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// newConfig returns a client of a provider.
func newConfig(t *testing.T, p *provider.Provider) *oauth2.Config {
	t.Helper()
	p.Register(provider.ClientID, provider.ClientSecret, callback)
	return &oauth2.Config{
		ClientID: provider.ClientID, ClientSecret: provider.ClientSecret, RedirectURL: callback, Scopes: []string{"read", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthorizationURL(), TokenURL: p.TokenURL(), AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// answer returns the parameters of a callback.
func answer(t *testing.T, callbackURL string) url.Values {
	t.Helper()
	u, err := url.Parse(callbackURL)
	if err != nil || !strings.HasPrefix(callbackURL, callback+"?") {
		t.Fatalf("the callback is %q, %v", callbackURL, err)
	}
	return u.Query()
}

// connect goes through the whole grant.
func connect(t *testing.T, p *provider.Provider, c *oauth2.Config, user string) *oauth2.Token {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	got := answer(t, p.Login(t, nil, c.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier)), user))
	if got.Get("state") != "the state" || got.Get("code") == "" {
		t.Fatalf("the callback got %v", got)
	}
	token, err := c.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// refresh redeems a refresh token.
func refresh(ctx context.Context, c *oauth2.Config, text string) (*oauth2.Token, error) {
	return c.TokenSource(ctx, &oauth2.Token{RefreshToken: text}).Token()
}

// wantError fails the test unless the server has answered with that error.
func wantError(t *testing.T, err error, code string) {
	t.Helper()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != code {
		t.Fatalf("the client got %v, want %s", err, code)
	}
}

func wantUser(t *testing.T, p *provider.Provider, token, want string) {
	t.Helper()
	if user, ok := p.Accepts(token); user != want || ok != (want != "") {
		t.Fatalf("the token is %q's, %v, want %q", user, ok, want)
	}
}

func TestCode(t *testing.T) {
	p := provider.New(t, time.Minute)
	a := provider.NewAPI(t, p)
	c := newConfig(t, p)
	p.Issuer.Store(true)
	verifier := oauth2.GenerateVerifier()
	got := answer(t, p.Login(t, nil, c.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "ann"))
	if got.Get("iss") != p.URL {
		t.Fatalf("the callback got %v", got)
	}
	_, err := c.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	wantError(t, err, "invalid_grant")
	token, err := c.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil || token.RefreshToken == "" || token.ExpiresIn != 60 || token.Extra("id_token") == nil {
		t.Fatalf("the client got %+v, %v", token, err)
	}
	bob := connect(t, p, c, "bob")
	for token, want := range map[string]string{
		token.AccessToken: `200 {"user":"ann"}`, bob.AccessToken: `200 {"user":"bob"}`, "x": `401 {"error": "invalid_token"}`,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Status[:3] + " " + strings.TrimSpace(string(body)); got != want {
			t.Errorf("the API answers %s, want %s", got, want)
		}
	}
	if a.Served.Load() != 2 || a.Refused.Load() != 1 || p.Grants("ann") != 1 || len(p.AuthorizationRequests()) != 2 ||
		p.AuthorizationRequests()[0].Get("code_challenge_method") != "S256" {
		t.Errorf("%d served, %d refused, %d grants, %v", a.Served.Load(), a.Refused.Load(), p.Grants("ann"), p.AuthorizationRequests())
	}

	_, err = c.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(verifier))
	wantError(t, err, "invalid_grant")
	if p.CodesReused() != 1 {
		t.Errorf("%d codes came again", p.CodesReused())
	}
	wantUser(t, p, token.AccessToken, "")
	_, err = refresh(t.Context(), c, token.RefreshToken)
	wantError(t, err, "invalid_grant")
	wantUser(t, p, bob.AccessToken, "bob")
}

func TestDenied(t *testing.T) {
	p := provider.New(t, time.Minute)
	c := newConfig(t, p)
	p.Issuer.Store(true)
	p.SetIssuer("https://another.example")
	got := answer(t, p.Deny(t, nil, c.AuthCodeURL("s")))
	if got.Get("error") != "access_denied" || got.Get("state") != "s" || got.Get("code") != "" || got.Get("iss") != "https://another.example" {
		t.Errorf("the callback got %v", got)
	}
	c.Scopes = nil // which the server refuses itself
	if got = answer(t, p.Login(t, nil, c.AuthCodeURL("s"), "ann")); got.Get("error") != "invalid_request" {
		t.Errorf("the callback got %v", got)
	}
}

func TestRotation(t *testing.T) {
	p := provider.New(t, time.Minute)
	c := newConfig(t, p)
	t.Run("never", func(t *testing.T) {
		first := connect(t, p, c, "ann")
		for range 2 {
			next, err := refresh(t.Context(), c, first.RefreshToken)
			if err != nil || next.RefreshToken != first.RefreshToken {
				t.Fatalf("the client got %+v, %v", next, err)
			}
		}
		if n := p.Redemptions()[provider.Digest(first.RefreshToken)]; n != 2 {
			t.Errorf("%d redemptions", n)
		}
	})
	t.Run("strict", func(t *testing.T) {
		p.SetRotation(provider.RotateStrict, 0)
		other, first := connect(t, p, c, "ann"), connect(t, p, c, "ann")
		second, err := refresh(t.Context(), c, first.RefreshToken)
		if err != nil || second.RefreshToken == first.RefreshToken {
			t.Fatalf("the client got %+v, %v", second, err)
		}
		wantUser(t, p, second.AccessToken, "ann")
		_, err = refresh(t.Context(), c, first.RefreshToken)
		wantError(t, err, "invalid_grant")
		_, err = refresh(t.Context(), c, second.RefreshToken)
		wantError(t, err, "invalid_grant")
		wantUser(t, p, first.AccessToken, "")
		wantUser(t, p, second.AccessToken, "")
		wantUser(t, p, other.AccessToken, "ann")
		if n := p.Redemptions(); p.Revoked() != 1 || n[provider.Digest(first.RefreshToken)] != 2 || n[provider.Digest(second.RefreshToken)] != 0 {
			t.Errorf("%d grants are revoked, %v", p.Revoked(), n)
		}
	})
	t.Run("at the same time", func(t *testing.T) {
		before := p.Revoked()
		first := connect(t, p, c, "ann")
		var served atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				if _, err := refresh(t.Context(), c, first.RefreshToken); err == nil {
					served.Add(1)
				}
			})
		}
		clients.Wait()
		if n := p.Redemptions()[provider.Digest(first.RefreshToken)]; served.Load() != 1 || n != 2 || p.Revoked() != before+1 {
			t.Errorf("%d clients are served, %d redemptions, %d grants are revoked", served.Load(), n, p.Revoked()-before)
		}
		wantUser(t, p, first.AccessToken, "")
	})
	t.Run("omitted", func(t *testing.T) {
		first := connect(t, p, c, "ann")
		p.OmitRefreshToken.Store(true)
		defer p.OmitRefreshToken.Store(false)
		for range 2 {
			req := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
			res, err := http.PostForm(p.TokenURL(), req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || strings.Contains(string(body), "refresh_token") {
				t.Fatalf("the client got %d %s", res.StatusCode, body)
			}
		}
	})
}

// TestGrace also shows that a server in memory lives in virtual time.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := rig.NewNetwork()
		p := provider.NewOn(t, ln, "http://provider.example", time.Hour)
		c := newConfig(t, p)
		transport := &http.Transport{DialContext: ln.Dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
		p.SetRotation(provider.RotateGrace, time.Minute)
		p.Delay.Store(int64(10 * time.Second))
		first, err := c.Exchange(ctx, answer(t, p.Login(t, client, c.AuthCodeURL("s"), "eve")).Get("code"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // after 10, 20 and 30 seconds
			if _, err = refresh(ctx, c, first.RefreshToken); err != nil {
				t.Fatal(err)
			}
		}
		wantUser(t, p, first.AccessToken, "eve")
		time.Sleep(time.Minute)
		_, err = refresh(ctx, c, first.RefreshToken)
		wantError(t, err, "invalid_grant")
		wantUser(t, p, first.AccessToken, "")
		second, err := c.Exchange(ctx, answer(t, p.Login(t, client, c.AuthCodeURL("s"), "eve")).Get("code"))
		if err != nil {
			t.Fatal(err)
		}
		wantUser(t, p, second.AccessToken, "eve")
		time.Sleep(time.Hour + time.Second)
		wantUser(t, p, second.AccessToken, "")
	})
}

func TestRevocation(t *testing.T) {
	p := provider.New(t, time.Minute)
	c := newConfig(t, p)
	revoke := func(token string) int {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.RevocationURL(), strings.NewReader(url.Values{"token": {token}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(c.ClientID, url.QueryEscape(c.ClientSecret))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	first, second := connect(t, p, c, "ann"), connect(t, p, c, "ann")
	for _, token := range []string{first.AccessToken, second.RefreshToken, "unknown"} {
		if status := revoke(token); status != 200 {
			t.Errorf("the answer is %d", status)
		}
	}
	wantUser(t, p, first.AccessToken, "")
	if _, err := refresh(t.Context(), c, first.RefreshToken); err != nil {
		t.Error(err)
	}
	wantUser(t, p, second.AccessToken, "")
	_, err := refresh(t.Context(), c, second.RefreshToken)
	wantError(t, err, "invalid_grant")
	if p.Revocations.Load() != 3 || p.RevokedTokens() != 2 || p.RevocationForms()[1].Get("token") != second.RefreshToken || p.Revoked() != 0 {
		t.Errorf("%d requests have revoked %d tokens", p.Revocations.Load(), p.RevokedTokens())
	}
	p.RevokeStatus.Store(503)
	if status := revoke(first.RefreshToken); status != 503 || p.Grants("ann") != 1 {
		t.Errorf("the answer is %d, %d grants", status, p.Grants("ann"))
	}
}

func TestSwitches(t *testing.T) {
	p := provider.New(t, time.Minute)
	c := newConfig(t, p)
	p.SetRotation(provider.RotateStrict, 0)
	first := connect(t, p, c, "ann")
	p.Requests.Store(0)

	p.FailNext(503, `{"error": "temporarily_unavailable"}`, "Retry-After", "7")
	_, err := refresh(t.Context(), c, first.RefreshToken)
	wantError(t, err, "temporarily_unavailable")
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused); refused.Response.StatusCode != 503 || refused.Response.Header.Get("Retry-After") != "7" {
		t.Errorf("the client got %v", refused.Response)
	}
	if n := p.Redemptions()[provider.Digest(first.RefreshToken)]; n != 0 {
		t.Errorf("%d redemptions", n)
	}

	p.DropAnswer(1)
	if token, err := refresh(t.Context(), c, first.RefreshToken); err == nil {
		t.Errorf("the client got %+v", token)
	}
	if n := p.Redemptions()[provider.Digest(first.RefreshToken)]; n != 1 || p.Answered.Load() != 2 {
		t.Errorf("%d redemptions, %d answers", n, p.Answered.Load())
	}
	_, err = refresh(t.Context(), c, first.RefreshToken)
	wantError(t, err, "invalid_grant")
	p.WantRequests(t, 3)
	if form := p.LastForm(t); form.Get("refresh_token") != first.RefreshToken || !strings.HasPrefix(form.Get("Authorization"), "Basic ") {
		t.Errorf("the server got %v", form)
	}
}
