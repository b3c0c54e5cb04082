// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// loginExample is an example of an API with a login of its own, and what the API's documentation
// wants.
type loginExample struct {
	base, login string // the path of the base URL, and the login's
	call        string
	env         map[string]string

	// enter says what is wrong with a login, and answers a good one. session is what it begins.
	enter func(w http.ResponseWriter, r *http.Request, body, session string) (wrong string)

	// carries returns the session that a request of the API has.
	carries func(r *http.Request) string
}

func sentJSON(r *http.Request, body string, want map[string]string) string {
	var sent map[string]string
	if err := json.Unmarshal([]byte(body), &sent); err != nil || r.Header.Get("Content-Type") != "application/json" || fmt.Sprint(sent) != fmt.Sprint(want) {
		return "the body"
	}
	return ""
}

// loginExamples are the examples, by their names.
func loginExamples(t *testing.T) map[string]loginExample {
	key, _, public := clientKey(t, "RS256")
	return map[string]loginExample{
		// docs.pi-hole.net/api/auth
		"pihole": {
			base: "/api", login: "/api/auth", call: "/stats/summary", env: map[string]string{"PIHOLE_PASSWORD": "app-password"},
			enter: func(w http.ResponseWriter, r *http.Request, body, session string) string {
				fmt.Fprintf(w, `{"session":{"valid":true,"totp":false,"sid":%q,"csrf":"csrf-%s","validity":300},"took":0.03}`, session, session)
				return sentJSON(r, body, map[string]string{"password": "app-password"})
			},
			carries: func(r *http.Request) string {
				if sid := r.Header.Get("X-FTL-SID"); r.Header.Get("X-FTL-CSRF") == "csrf-"+sid {
					return sid
				}
				return ""
			},
		},
		"unifi": {
			login: "/api/auth/login", call: "/proxy/network/api/s/default/stat/sta", env: map[string]string{"UNIFI_PASSWORD": "local-password"},
			enter: func(w http.ResponseWriter, r *http.Request, body, session string) string {
				w.Header().Set("X-CSRF-Token", "csrf-"+session)
				w.Header().Set("Set-Cookie", "TOKEN="+session+"; path=/; samesite=none; secure; httponly")
				_, _ = io.WriteString(w, `{"unique_id":"1"}`)
				return sentJSON(r, body, map[string]string{"username": "gateway", "password": "local-password"})
			},
			carries: func(r *http.Request) string {
				if c, err := r.Cookie("TOKEN"); err == nil && len(r.Cookies()) == 1 && r.Header.Get("X-CSRF-Token") == "csrf-"+c.Value {
					return c.Value
				}
				return ""
			},
		},
		// docs.github.com/en/rest/apps/apps, and "Generating a JSON Web Token (JWT) for a GitHub App"
		"github_app": {
			login: "/app/installations/42/access_tokens", call: "/installation/repositories",
			env: map[string]string{"GITHUB_APP_ID": "12345", "GITHUB_INSTALLATION": "42", "GITHUB_APP_KEY": key},
			enter: func(w http.ResponseWriter, r *http.Request, body, session string) string {
				w.WriteHeader(http.StatusCreated)
				fmt.Fprintf(w, `{"token":%q,"expires_at":%q}`, session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
				var claims jwt.RegisteredClaims
				_, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), bearer), &claims,
					func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("12345"))
				switch {
				case err != nil:
					return err.Error()
				case time.Until(claims.ExpiresAt.Time) > 10*time.Minute:
					return "the token lives for more than ten minutes"
				case body != "" || r.Header.Get("Accept") != "application/vnd.github+json":
					return "Accept, or a body"
				}
				return ""
			},
			carries: func(r *http.Request) string {
				if r.Header.Get("X-GitHub-Api-Version") != "2022-11-28" || r.Header.Get("Accept") != "application/vnd.github+json" {
					return ""
				}
				return strings.TrimPrefix(r.Header.Get("Authorization"), bearer)
			},
		},
	}
}

// TestLoginExamples has each example log in, call, and log in anew when the session has ended.
func TestLoginExamples(t *testing.T) {
	for name, example := range loginExamples(t) {
		t.Run(name, func(t *testing.T) {
			var logins atomic.Int32
			var ended atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == example.login && r.Method == http.MethodPost {
					ended.Store(false)
					body, _ := io.ReadAll(r.Body)
					if wrong := example.enter(w, r, string(body), fmt.Sprintf("session-%d", logins.Add(1))); wrong != "" {
						t.Errorf("a login is refused: %s", wrong)
					}
					return
				}
				if ended.Load() || example.carries(r) != fmt.Sprintf("session-%d", logins.Load()) || r.URL.Path != example.base+example.call {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			t.Cleanup(server.Close)
			t.Setenv("API_URL", server.URL+example.base)
			for variable, value := range example.env {
				t.Setenv(variable, value)
			}
			text, err := os.ReadFile(folder + name + ".caddyfile")
			if err != nil {
				t.Fatal(err)
			}
			gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\n}\n"+
				strings.ReplaceAll(string(text), "http://localhost:8080", "http://GATEWAY"))
			for n := range int32(2) {
				for range 2 {
					if res := rig.Get(t, gateway, example.call, "Cookie: TOKEN=theirs\r\nX-CSRF-Token: theirs\r\n"); res.StatusCode != 200 || logins.Load() != n+1 {
						t.Errorf("the client got %d after %d logins", res.StatusCode, logins.Load())
					}
				}
				ended.Store(true)
			}
		})
	}
}
