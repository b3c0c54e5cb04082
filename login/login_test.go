// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// options are those of an API that answers as counting does.
func options() *Options {
	return &Options{
		URL: "http://localhost/login", JSON: map[string]any{"user": "ann", "password": "canary-password"},
		Token: "json:sid", ExpiresIn: "ttl", Also: map[string]string{"X-CSRF": "header:X-CSRF"},
	}
}

// TestLifetimes: a session is renewed in the background before it ends, on one of all nodes, and
// one whose end is not known is used until the API refuses it.
func TestLifetimes(t *testing.T) {
	inWorld(t, counting(600), func(t *testing.T, w *world) {
		here, there := w.node(options()), w.node(options())
		w.wants(here, "Authorization", "Bearer canary-session-1", 1)
		w.wants(there, "X-CSRF", "canary-csrf-1", 0)
		time.Sleep(9*time.Minute + 50*time.Second)
		w.wants(here, "Authorization", "Bearer canary-session-1", 0) // and a login begins
		time.Sleep(time.Second)
		w.wants(here, "Authorization", "Bearer canary-session-2", 1)
		w.wants(there, "Authorization", "Bearer canary-session-1", 0)
		time.Sleep(time.Second)
		w.wants(there, "Authorization", "Bearer canary-session-2", 0)
		time.Sleep(time.Hour)
		w.wants(there, "X-CSRF", "canary-csrf-3", 1)
	})
	inWorld(t, counting(0), func(t *testing.T, w *world) {
		opts := options()
		opts.ExpiresIn = ""
		l := w.node(opts)
		w.wants(l, "Authorization", "Bearer canary-session-1", 1)
		time.Sleep(100 * 24 * time.Hour)
		w.wants(l, "Authorization", "Bearer canary-session-1", 0)
	})
	inWorld(t, counting(0), func(t *testing.T, w *world) {
		opts := options()
		opts.ExpiresIn = "20m"
		l := w.node(opts)
		w.wants(l, "Authorization", "Bearer canary-session-1", 1)
		time.Sleep(15 * time.Minute)
		w.wants(l, "Authorization", "Bearer canary-session-1", 0)
		time.Sleep(6 * time.Minute)
		w.wants(l, "Authorization", "Bearer canary-session-2", 1)
	})
}

// TestOneAtATime: a hundred requests that find no session, and a hundred whose session the API
// refuses, log in once.
func TestOneAtATime(t *testing.T) {
	inWorld(t, counting(600), func(t *testing.T, w *world) {
		l := w.node(options())
		all := func(do func()) {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(do)
			}
			wg.Wait()
			if n := w.logins(); n != 1 {
				t.Errorf("%d logins", n)
			}
		}
		all(func() {
			if _, _, err := carries(t, l); err != nil {
				t.Error(err)
			}
		})
		refused := l.Current()
		all(func() {
			if fresh, err := l.Refresh(t.Context(), refused); err != nil || fresh == refused {
				t.Errorf("%v", err)
			}
		})
		w.wants(l, "Authorization", "Bearer canary-session-2", 0)
		// A late refusal of the first session says nothing of the second.
		if fresh, err := l.Refresh(t.Context(), refused); err != nil || fresh != l.Current() || w.logins() != 0 {
			t.Errorf("%v", err)
		}
	})
}

// TestSealed: what a login has brought lies in the storage, and nowhere in clear; another login,
// another account, does not use it.
func TestSealed(t *testing.T) {
	inWorld(t, counting(600), func(t *testing.T, w *world) {
		w.wants(w.node(options()), "X-CSRF", "canary-csrf-1", 1)
		if len(w.storage.Records) == 0 {
			t.Fatal("nothing is stored")
		}
		for name, raw := range w.storage.Records {
			if bytes.Contains(raw, []byte("canary")) || bytes.Contains(raw, []byte("ann")) {
				t.Errorf("%s has what a login sends or brings in clear", name)
			}
		}
		w.wants(w.node(options()), "X-CSRF", "canary-csrf-1", 0)
		for name, change := range map[string]func(*Options){
			"account": func(o *Options) { o.JSON = map[string]any{"user": "bob", "password": "canary-password"} },
			"URL":     func(o *Options) { o.URL = "http://localhost/other" },
			"token":   func(o *Options) { o.Token, o.ExpiresIn = "header:X-CSRF", "10m" },
			"also":    func(o *Options) { o.Also = nil },
		} {
			opts := options()
			change(opts)
			if _, _, err := carries(t, w.node(opts)); err != nil || w.logins() != 1 {
				t.Errorf("another %s: %v", name, err)
			}
		}
		if text := w.logs.String(); strings.Contains(text, "canary") {
			t.Errorf("the log has %s", text)
		}
	})
}

// TestRefusals: a refusal is told, with what the API says and without the password, and not
// repeated; a new password in the file is tried at once.
func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.answers(func(rw http.ResponseWriter, _ *http.Request) {
			w.mu.Lock()
			body := w.bodies[len(w.bodies)-1]
			w.mu.Unlock()
			if body != `{"password":"canary-right"}` {
				rw.WriteHeader(http.StatusUnauthorized)
				fmt.Fprintf(rw, `{"message":%q}`, "wrong: "+body)
				return
			}
			fmt.Fprint(rw, `{"sid":"a1"}`)
		})
		put("canary-wrong")
		l := w.node(&Options{URL: "http://localhost/login", JSON: map[string]any{"password": "{file." + file + "}"}, Token: "json:sid"})
		if files := l.Files(); !slices.Equal(files, []string{file}) {
			t.Errorf("the files are %q", files)
		}
		e := w.refused(l, 1)
		if e.Status != http.StatusUnauthorized || !e.Rejected() || !strings.Contains(e.Description, "wrong: ") || strings.Contains(e.Error()+w.logs.String(), "canary") {
			t.Errorf("%v, %s", e, w.logs.String())
		}
		time.Sleep(50 * time.Second)
		w.refused(l, 0)
		again := w.node(&l.Options) // after a restart
		if e := w.refused(again, 0); e.Status != http.StatusUnauthorized || !strings.Contains(e.Description, "wrong: ") {
			t.Errorf("after a restart: %v", e)
		}
		if changed, err := l.Reread(); changed || err != nil {
			t.Errorf("nothing has changed: %t, %v", changed, err)
		}
		w.refused(l, 0)
		put("")
		if _, err := l.Reread(); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("an empty file: %v", err)
		}
		put("canary-right")
		if changed, err := l.Reread(); !changed || err != nil {
			t.Errorf("another password: %t, %v", changed, err)
		}
		w.wants(l, "Authorization", "Bearer a1", 1)
	})
}

// TestHostile: whatever a login answers, it costs bounded time and memory, and what cannot be sent
// is not used.
func TestHostile(t *testing.T) {
	for name, test := range map[string]struct {
		answer   http.HandlerFunc
		rejected bool
	}{
		"a line break": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sid":"a\r\nX-Evil: 1"}`) }, true},
		"no text":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sid":{"a":1}}`) }, true},
		"half of it":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sid":"a1"}`) }, true}, // also is missing
		"never ends":   {endless, false},
		"never begins": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
		"breaks off":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		"leads elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusTemporaryRedirect)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, test.answer, func(t *testing.T, w *world) {
				opts := options()
				opts.ExpiresIn = ""
				l := w.node(opts)
				began := time.Now()
				e := w.refused(l, 1)
				if e.Rejected() != test.rejected || time.Since(began) > 15*time.Second {
					t.Errorf("%v after %v", e, time.Since(began))
				}
				if status, err := l.Connections().Shared().Status(t.Context()); err != nil || status.State != connection.StateFailing || status.Remedy == "" || status.NeedsAction != test.rejected {
					t.Errorf("the status is %+v, %v", status, err)
				}
			})
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestPlaces: where what a login brings goes.
func TestPlaces(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "SID=a=1; Path=/; HttpOnly")
		w.Header().Add("Set-Cookie", "csrf=c1")
		fmt.Fprint(w, `{"sid":"s &1","csrf":"c1"}`)
	}
	for name, test := range map[string]struct {
		opts   Options
		header string
		query  string
	}{
		"a cookie goes into it":     {Options{Token: "cookie:SID"}, "Cookie: SID=a=1", ""},
		"a cookie and its CSRF":     {Options{Token: "cookie:SID", Also: map[string]string{"cookie:csrf": "cookie:csrf", "X-Csrf": "cookie:csrf"}}, "Cookie: SID=a=1; csrf=c1, X-Csrf: c1", ""},
		"into another cookie":       {Options{Token: "json:csrf", TokenPlace: auth.TokenPlace{AddTokenTo: &auth.Place{Cookie: "x"}}}, "Cookie: x=c1", ""},
		"into the query":            {Options{Token: "json:sid", TokenPlace: auth.TokenPlace{AddTokenTo: &auth.Place{Query: "_sid"}}}, "", "_sid=s%20%261"},
		"into a field, as it is":    {Options{Token: "json:csrf", TokenPlace: auth.TokenPlace{AddTokenTo: &auth.Place{Header: "X-Sid"}}}, "X-Sid: c1", ""},
		"into a field, with a word": {Options{Token: "json:csrf", TokenPlace: auth.TokenPlace{AddTokenTo: &auth.Place{Header: "X-Sid"}, HeaderPrefix: new("Session")}}, "X-Sid: Session c1", ""},
	} {
		inWorld(t, answer, func(t *testing.T, w *world) {
			test.opts.URL = "http://localhost/login"
			header, query, err := carries(t, w.node(&test.opts))
			var got []string
			for field, values := range header {
				got = append(got, field+": "+strings.Join(values, "; "))
			}
			slices.Sort(got)
			if err != nil || strings.Join(got, ", ") != test.header || query != test.query {
				t.Errorf("%s: %q and %q, %v", name, got, query, err)
			}
		})
	}
}

// TestSignedRefusal: a login with a token that the gateway signs is tried at once with any other
// token, whichever option makes it another, and the session of one is not that of another.
func TestSignedRefusal(t *testing.T) {
	const secret = "canary-0123456789-0123456789-0123456789"
	changes := map[string]func(*signature.TokenOptions){
		"secret":    func(o *signature.TokenOptions) { o.Secret = "canary-9876543210-9876543210-9876543210" },
		"algorithm": func(o *signature.TokenOptions) { o.Algorithm = "HS512" },
		"key_id":    func(o *signature.TokenOptions) { o.KeyID = "k2" },
		"issuer":    func(o *signature.TokenOptions) { o.Issuer = "{env.TEST_ISSUER}" },
		"audience":  func(o *signature.TokenOptions) { o.Audience = "api" },
		"claim":     func(o *signature.TokenOptions) { o.Claims = map[string]string{"sub": "bob"} },
		"lifetime":  func(o *signature.TokenOptions) { o.Lifetime = caddy.Duration(time.Minute) },
	}
	t.Setenv("TEST_ISSUER", "b")
	node := func(w *world, change func(*signature.TokenOptions)) *Login {
		o := &signature.TokenOptions{Secret: secret, Issuer: "a"}
		change(o)
		return w.node(&Options{URL: "http://localhost/login", JWT: o, Token: "json:sid"})
	}
	for name, change := range changes {
		inWorld(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) }, func(t *testing.T, w *world) {
			w.refused(node(w, func(*signature.TokenOptions) {}), 1)
			time.Sleep(30 * time.Second) // another token by its time
			w.refused(node(w, func(*signature.TokenOptions) {}), 0)
			if _, _, err := carries(t, node(w, change)); err == nil || w.logins() != 1 {
				t.Errorf("another %s is not tried: %v", name, err)
			}
		})
		inWorld(t, counting(0), func(t *testing.T, w *world) {
			w.wants(node(w, func(*signature.TokenOptions) {}), "Authorization", "Bearer canary-session-1", 1)
			w.wants(node(w, change), "Authorization", "Bearer canary-session-2", 1)
		})
	}
}

// TestSecretInURL: an API that repeats the path of a login does not get a key in it into a log.
func TestSecretInURL(t *testing.T) {
	t.Setenv("TEST_IN_PATH", "canary-path 1")
	t.Setenv("TEST_IN_QUERY", "canary-query&2")
	inWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(rw, `{"message":%q}`, "not allowed: "+r.RequestURI+" "+r.URL.Path+" "+r.URL.Query().Get("s"))
	}, func(t *testing.T, w *world) {
		l := w.node(&Options{URL: "http://localhost/bot{env.TEST_IN_PATH}/login?s={env.TEST_IN_QUERY}", Token: "json:sid"})
		e := w.refused(l, 1)
		if text := e.Error() + w.logs.String(); !strings.Contains(text, "not allowed: /bot") || strings.Contains(text, "canary") {
			t.Errorf("it says %s", text)
		}
	})
}
