// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"encoding/base64"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// wantHead compares the head of the only request that an API has got with the lines that it must
// consist of.
func wantHead(t *testing.T, a *rig.API, want ...string) {
	t.Helper()
	rig.WantHead(t, a.Request(t), want...)
}

// TestFirstRequest: what the provider and the API get, byte for byte, and that the API's own
// question to the provider whether the token is good is answered with yes.
func TestFirstRequest(t *testing.T) {
	p := provider.New(t, time.Minute)
	var token atomic.Pointer[string]
	a := rig.NewAPI(t, func(request string) string {
		_, rest, _ := strings.Cut(request, "Authorization: Bearer ")
		text, _, _ := strings.Cut(rest, "\r\n")
		token.Store(&text)
		if active, err := p.Introspects(t.Context(), text); err != nil || !active {
			return rig.Response("401 Unauthorized", "", "")
		}
		return rig.OK("ok")
	})
	g := newGateway(t)
	g.load(t, directive("http://"+a.Addr+"/v2", p, "scopes read,write profile"))
	p.WantRequests(t, 0) // a token is fetched when it is first needed

	// What the client sends in place of the credential does not count.
	res := rig.Get(t, g.addr, "/x?a=1", "User-Agent: test\r\nAccept: */*\r\nAuthorization: Bearer evil\r\nauthorization: Basic ZTpl\r\n")
	if res.StatusCode != 200 || res.Text != "ok" {
		t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
	}
	wantHead(t, a, "GET /v2/x?a=1 HTTP/1.1", "Host: "+a.Addr, "User-Agent: test", "Accept: */*", "Authorization: Bearer "+*token.Load())
	p.WantRequests(t, 1)
	form := p.LastForm(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("gateway:"+url.QueryEscape(secret)))
	if len(form) != 3 || form.Get("grant_type") != "client_credentials" || form.Get("scope") != "read write profile" || form.Get("Authorization") != basic {
		t.Errorf("the provider got %v", form)
	}
	if strings.Contains(res.Text, *token.Load()) || len(res.Header["Authorization"]) > 0 {
		t.Error("the client got the token")
	}

	// The twin: the API does not accept everything.
	p.RevokeAccess()
	p.Stop()
	if res := rig.Get(t, g.addr, "/x", ""); res.StatusCode != 401 {
		t.Errorf("with a token that is not good any more the client got %d", res.StatusCode)
	}
}

// TestPlaces: where the token goes.
func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		name, options string
		line          string
		fields        []string
	}{
		{"default", "", "GET /x?a=1 HTTP/1.1", []string{"Authorization: Bearer TOKEN"}},
		{"bare", `header_prefix ""`, "GET /x?a=1 HTTP/1.1", []string{"Authorization: TOKEN"}},
		{"prefix", `header_prefix Token`, "GET /x?a=1 HTTP/1.1", []string{"Authorization: Token TOKEN"}},
		{"header", `add_token_to header x-access-token`, "GET /x?a=1 HTTP/1.1", []string{"X-Access-Token: Bearer TOKEN"}},
		{"bare header", "add_token_to header X-Token\nheader_prefix \"\"", "GET /x?a=1 HTTP/1.1", []string{"X-Token: TOKEN"}},
		{"query", "add_token_to query", "GET /x?access_token=TOKEN&a=1 HTTP/1.1", nil},
		{"query key", "add_token_to query token", "GET /x?token=TOKEN&a=1 HTTP/1.1", nil},
		{"id token", "token_field id_token", "GET /x?a=1 HTTP/1.1", []string{"Authorization: Bearer the.id.token"}},
		{"post", "client_auth client_secret_post", "GET /x?a=1 HTTP/1.1", []string{"Authorization: Bearer TOKEN"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := provider.New(t, time.Minute)
			var token atomic.Value
			p.SetRewrite(func(answer map[string]any) {
				token.Store(answer["access_token"])
				answer["id_token"] = "the.id.token" // zitadel's server sends none with this grant
			})
			a := rig.NewAPI(t, nil)
			g := newGateway(t)
			g.load(t, directive("http://"+a.Addr, p, test.options))
			if res := rig.Get(t, g.addr, "/x?a=1", "User-Agent: test\r\n"); res.StatusCode != 200 {
				t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
			}
			issued, _ := token.Load().(string)
			want := append([]string{strings.ReplaceAll(test.line, "TOKEN", url.QueryEscape(issued)), "Host: " + a.Addr, "User-Agent: test"}, test.fields...)
			for i := 1; i < len(want); i++ {
				want[i] = strings.ReplaceAll(want[i], "TOKEN", issued)
			}
			wantHead(t, a, want...)
		})
	}
}

// TestNoIDToken: with token_field id_token an answer without one is no token, and the access
// token is not sent for it.
func TestNoIDToken(t *testing.T) {
	p := provider.New(t, time.Minute)
	a := rig.NewAPI(t, nil)
	g := newGateway(t)
	g.load(t, directive("http://"+a.Addr, p, "token_field id_token"))
	wantProblem(t, rig.Get(t, g.addr, "/x", ""), 503, "token-unavailable")
	if got := a.Requests(); len(got) > 0 {
		t.Errorf("the API got %v", got)
	}
	e := rig.WantLogged(t, g.log, "none could be obtained")
	if cause, _ := e["cause"].(string); !strings.Contains(cause, "id_token") {
		t.Errorf("the log says %v", e)
	}
}

// TestHerd: cold, and then on an expired token, 300 requests at once cost one token request.
func TestHerd(t *testing.T) {
	p := provider.New(t, 3*time.Second)
	p.Delay.Store(int64(200 * time.Millisecond)) // all of them come while it is under way
	a := newAPI(t, p)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	c := newClient(t)
	for round := range int64(2) {
		if round == 1 {
			p.SetLife(time.Minute)
			time.Sleep(3300 * time.Millisecond)
		}
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() {
				if status, body, err := get(c, "http://"+g.addr+"/x"); err != nil || status != 200 {
					t.Errorf("a client got %d %q, %v", status, body, err)
				}
			})
		}
		wg.Wait()
		p.WantRequests(t, round+1)
	}
	if got := a.served.Load(); got != 600 {
		t.Errorf("the API has served %d requests", got)
	}
	if names := records(t, g.storage); len(names) != 1 || !strings.HasPrefix(names[0], "authenticated_api/crm/") {
		t.Errorf("the storage holds %v", names)
	}
}

// TestClientSecretFile: a secret in a file is read again for each token request, so that it can
// be rotated there.
func TestClientSecretFile(t *testing.T) {
	p := provider.New(t, time.Minute)
	a := newAPI(t, p)
	file := tempDir(t) + "/secret"
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t)
	g.load(t, strings.ReplaceAll(directive(a.URL, p, ""), "{env.CLIENT_SECRET}", "{file."+file+"}"))
	c := newClient(t)
	wantServed(t, c, g.addr)
	p.Register("gateway", "another")
	p.RevokeAccess()
	if err := os.WriteFile(file, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
}
