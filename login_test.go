// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// sessions is an API with a login of its own, and what the two have seen.
type sessions struct {
	*httptest.Server

	logins atomic.Int32
	mu     sync.Mutex
	valid  string // the session that counts
	csrf   string
}

// end ends the session that counts.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid = ""
}

// begin begins a session.
func (s *sessions) begin() (sid, csrf string) {
	n := s.logins.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid, s.csrf = fmt.Sprintf("canary-sid-%d+/=", n), fmt.Sprintf("canary-csrf-%d", n)
	return s.valid, s.csrf
}

// is reports whether a session and its CSRF token count.
func (s *sessions) is(sid, csrf string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.valid != "" && sid == s.valid && csrf == s.csrf
}

// newPiHole answers as Pi-hole 6 does (docs.pi-hole.net/api/auth).
func newPiHole(t *testing.T) *sessions {
	s := new(sessions)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth", func(w http.ResponseWriter, r *http.Request) {
		var sent map[string]string
		if json.NewDecoder(r.Body).Decode(&sent) != nil || sent["password"] != "canary-password" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"session":{"valid":false,"totp":false,"sid":null,"validity":-1,"message":"password incorrect"},"took":0.03}`)
			return
		}
		sid, csrf := s.begin()
		fmt.Fprintf(w, `{"session":{"valid":true,"totp":false,"sid":%q,"csrf":%q,"validity":300},"took":0.03}`, sid, csrf)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		if !s.is(r.Header.Get("X-FTL-SID"), r.Header.Get("X-FTL-CSRF")) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"key":"unauthorized","message":"Unauthorized","hint":null},"took":0}`)
			return
		}
		w.Header().Set("X-Echo", r.Header.Get("X-FTL-SID"))
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

const piHole = `json {
	password {env.CANARY_PASSWORD}
}
token json:session.sid
expires_in session.validity
add_token_to header X-FTL-SID
also X-FTL-CSRF json:session.csrf
`

// newUniFi answers as the console of UniFi OS does: the session is a cookie, a field of the answer
// has the CSRF token, and who is not signed in gets a 401.
func newUniFi(t *testing.T) *sessions {
	s := new(sessions)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth/login", func(w http.ResponseWriter, r *http.Request) {
		var sent map[string]string
		if json.NewDecoder(r.Body).Decode(&sent) != nil || sent["username"] != "gateway" || sent["password"] != "canary-password" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"code":"AUTHENTICATION_FAILED_INVALID_CREDENTIALS","message":"Invalid username or password","level":"debug"}`)
			return
		}
		sid, csrf := s.begin()
		w.Header().Set("X-CSRF-Token", csrf)
		w.Header().Add("Set-Cookie", "TOKEN="+sid+"; path=/; samesite=none; secure; httponly")
		fmt.Fprint(w, `{"unique_id":"1"}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("TOKEN")
		if err != nil || !s.is(c.Value, r.Header.Get("X-CSRF-Token")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

const uniFi = `json {
	username gateway
	password {env.CANARY_PASSWORD}
}
token cookie:TOKEN
also X-CSRF-Token header:X-CSRF-Token
`

// newForms is a site with pages: its login takes a form, sets a cookie and redirects, and whoever
// is not signed in is redirected to it. Its forms want a token that is in a second cookie too.
func newForms(t *testing.T) *sessions {
	s := new(sessions)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("user") != "ann & co" || r.FormValue("pass") != "canary-password" {
			http.Redirect(w, r, "/login?failed", http.StatusFound)
			return
		}
		sid, csrf := s.begin()
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: sid, Path: "/", MaxAge: 3600, HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: csrf, Path: "/"})
		http.Redirect(w, r, "/", http.StatusFound)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		sid, _ := r.Cookie("sessionid")
		csrf, _ := r.Cookie("csrftoken")
		if sid == nil || csrf == nil || !s.is(sid.Value, csrf.Value) || r.Method != http.MethodGet && r.Header.Get("X-CSRFToken") != csrf.Value {
			http.Redirect(w, r, "/login?next="+r.URL.Path, http.StatusFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

const forms = `form {
	user "ann & co"
	pass {env.CANARY_PASSWORD}
}
token cookie:sessionid
also cookie:csrftoken cookie:csrftoken
also X-CSRFToken cookie:csrftoken
`

// startLogin runs a gateway in front of an API with a login.
func startLogin(t *testing.T, storage, base, login, block, more string) (gateway string) {
	t.Helper()
	return rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+storage+"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\n"+
		"http://GATEWAY {\nauthenticated_api "+base+" {\nname api\nauth login "+login+" {\n"+block+"}\n"+more+"\n}\n}")
}

// TestLogin: one login for all requests, another one when the session has ended, requests of any
// method sent once more, and a session that outlives the gateway.
func TestLogin(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_PASSWORD", "canary-password")
	for name, test := range map[string]struct {
		api                *sessions
		login, block, more string
	}{
		"Pi-hole": {newPiHole(t), "/api/auth", piHole, ""},
		"UniFi":   {newUniFi(t), "/api/auth/login", uniFi, ""},
		"forms":   {newForms(t), "/login", forms, "refresh_on 401 302:/login*"},
	} {
		t.Run(name, func(t *testing.T) {
			storage := t.TempDir()
			gateway := startLogin(t, storage, test.api.URL, test.api.URL+test.login, test.block, test.more)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if res := rig.Get(t, gateway, "/api/x?a=1", "Cookie: TOKEN=evil; sessionid=evil\r\nX-FTL-SID: evil\r\nX-CSRF-Token: evil\r\n"); res.StatusCode != 200 || res.Text != "GET /api/x?a=1 " ||
						strings.Contains(fmt.Sprint(res.Header), "canary") {
						t.Errorf("the client got %d %q %v", res.StatusCode, res.Text, res.Header)
					}
				})
			}
			wg.Wait()
			if n := test.api.logins.Load(); n != 1 {
				t.Errorf("%d logins for requests at the same time", n)
			}
			test.api.end()
			if res := rig.Do(t, gateway, "POST", "/api/x", "", "the body"); res.StatusCode != 200 || res.Text != "POST /api/x the body" {
				t.Errorf("after the session has ended the client got %d %q", res.StatusCode, res.Text)
			}
			if n := test.api.logins.Load(); n != 2 {
				t.Errorf("%d logins", n)
			}
			gateway = startLogin(t, storage, test.api.URL, test.api.URL+test.login, test.block, test.more)
			if res := rig.Get(t, gateway, "/api/x", ""); res.StatusCode != 200 || test.api.logins.Load() != 2 {
				t.Errorf("after a restart the client got %d, with %d logins", res.StatusCode, test.api.logins.Load())
			}
		})
	}
}

// TestRefreshOnRedirect: a redirect refuses the credential where it leads to the login page, and
// is an answer where it leads elsewhere.
func TestRefreshOnRedirect(t *testing.T) {
	file := rig.Save(t, "old-secret")
	var asked atomic.Int32
	location, status := "", 302
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer new-secret" {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(api.Close)
	for _, test := range []struct {
		pattern  string
		status   int
		location string
		again    bool
	}{
		{"302:/login*", 302, "/login", true},
		{"302:/login*", 302, "/login?next=%2Fx", true},
		{"302:/login*", 302, api.URL + "/login/form", true},
		{"302:/login*", 302, "/orders/1", false},
		{"302:/login*", 302, "/x/login", false},
		{"302:/login*", 303, "/login", false},
		{"302:/login*", 302, "", false},
		{"302:*/login", 302, "/x/login", true},
		{"303:https://sso.example.com/*", 303, "https://sso.example.com/auth?x", true},
		{"303:https://sso.example.com/*", 303, "https://sso.example.com.evil/auth", false},
		{"302:/a*b*c", 302, "/a1b2c", true},
		{"302:/a*b*c", 302, "/a1c2b", false},
		{"401 302:/login* 302:/signin", 302, "/signin", true},
	} {
		rotate(t, file, "old-secret")
		location, status = test.location, test.status
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api "+api.URL+" {\nauth bearer {file."+file+"}\nrefresh_on "+test.pattern+"\n}\n}")
		rotate(t, file, "new-secret")
		asked.Store(0)
		want := map[bool]int32{true: 2, false: 1}[test.again]
		if res := rig.Do(t, gateway, "POST", "/x", "", "body"); (res.StatusCode == 200) != test.again || asked.Load() != want {
			t.Errorf("%s, %d to %q: the client got %d after %d requests", test.pattern, test.status, test.location, res.StatusCode, asked.Load())
		}
	}
}

// TestLoginRefused: a wrong password is told, shown to nobody, and not tried again and again: many
// APIs lock an account after a few failures.
func TestLoginRefused(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_PASSWORD", "canary-wrong")
	asked := new(atomic.Int32)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"message":"no such user: %s"}`, body[len(`{"password":"`):len(body)-2])
	}))
	t.Cleanup(api.Close)
	admin, log := rig.Free(t), filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\nstorage file_system "+t.TempDir()+"\nlog {\noutput file "+log+"\nlevel DEBUG\n}\n"+
		"authenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\nlog\nauthenticated_api "+api.URL+" {\nname api\nauth login "+api.URL+"/api/auth {\n"+piHole+"}\n}\n}")
	for range 5 {
		res := rig.Get(t, gateway, "/x", "")
		if res.StatusCode != 502 || !strings.Contains(res.Text, "token-rejected") || strings.Contains(res.Text, "canary") {
			t.Errorf("the client got %d %s", res.StatusCode, res.Text)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
	status := rig.Get(t, admin, "/authenticated_api/connections", "").Text
	for _, want := range []string{`"datasource":"api"`, `"grant":"login"`, `"state":"failing"`, `"last_error":"status_401"`, `"needs_action":true`, `no such user: `} {
		if !strings.Contains(status, want) {
			t.Errorf("%s is not in the status %s", want, status)
		}
	}
	line := rig.WantLogged(t, log, "there is no valid token, and none could be obtained")
	if remedy, _ := line["remedy"].(string); !strings.Contains(remedy, "check user name and password") {
		t.Errorf("the log says %v", line)
	}
	config := rig.Get(t, admin, "/config/", "").Text
	if text := read(t, log) + status + config; strings.Contains(text, "canary-wrong") {
		t.Errorf("the log, the status or the configuration shows the password: %s", text)
	}
}

// TestLoginRefusedInQuery: no error shows a password that stands in the URL.
func TestLoginRefusedInQuery(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_PASSWORD", "canary-wrong")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"message":"no such account: %s %s"}`, r.FormValue("account"), r.FormValue("passwd"))
	}))
	t.Cleanup(api.Close)
	admin := rig.Free(t)
	gateway := rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\nstorage file_system "+t.TempDir()+"\n"+
		"authenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\nauthenticated_api "+api.URL+" {\nname api\n"+
		"auth login "+api.URL+"/auth?account=gateway&passwd={env.CANARY_PASSWORD} {\nmethod GET\ntoken json:data.sid\n}\n}\n}")
	rig.Get(t, gateway, "/x", "")
	status := rig.Get(t, admin, "/authenticated_api/connections", "").Text
	if !strings.Contains(status, "no such account: gateway ") || strings.Contains(status, "canary-wrong") {
		t.Errorf("the status is %s", status)
	}
}

// TestLoginAsGitHubApp: a login that is itself authenticated with a token which the gateway signs,
// an end that is a date, and two files of it that change.
func TestLoginAsGitHubApp(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	id := rig.NewIdentity(t, nil, nil)
	key := rig.Save(t, id.KeyPEM(t))
	asked := new(atomic.Int32)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/app/installations/42/access_tokens" {
			if r.Header.Get("Authorization") != "Bearer ghs_canary" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return
		}
		asked.Add(1)
		claims := make(jwt.MapClaims)
		token, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), claims, func(*jwt.Token) (any, error) { return id.Cert.PublicKey, nil })
		if err != nil || token.Header["typ"] != "JWT" || claims["iss"] != "12345" || r.Method != "POST" || r.Header.Get("Accept") != "application/vnd.github+json" || r.ContentLength != 0 {
			t.Errorf("the login is %s %v with %v: %v", r.Method, r.Header, claims, err)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_canary","expires_at":%q,"permissions":{"contents":"read"}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(api.Close)
	gateway := startLogin(t, t.TempDir(), api.URL, api.URL+"/app/installations/42/access_tokens",
		"jwt {\nkey_file "+key+"\nissuer 12345\nlifetime 9m\n}\nheader Accept application/vnd.github+json\ntoken json:token\nexpires_in expires_at\n", "")
	for range 3 {
		if res := rig.Get(t, gateway, "/repos", ""); res.StatusCode != 200 || asked.Load() != 1 {
			t.Errorf("the client got %d after %d logins", res.StatusCode, asked.Load())
		}
	}
}

// TestLoginTLS: a login of a private certificate's server, one of http elsewhere, and one at an
// address that is never dialled.
func TestLoginTLS(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a-session") }))
	t.Cleanup(api.Close)
	cert := "self_signed_cert \"" + certOf(api) + "\"\n"
	gateway := startLogin(t, t.TempDir(), api.URL, api.URL, "token body\n"+cert, cert)
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
	gateway = startLogin(t, t.TempDir(), api.URL, "https://169.254.169.254/", "token body\n", cert)
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 503 {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
}

// TestLoginErrors: each mistake is told when the configuration is read, with what to do.
func TestLoginErrors(t *testing.T) {
	for block, want := range map[string]string{
		"": "token is missing",
		"token json:a\njson {\na b\n}\nform {\na b\n}":                  "one body",
		"method GET\njson {\na b\n}\ntoken json:a":                      "has no body",
		"method get\ntoken json:a":                                      "it is no method",
		"token sid":                                                     "takes json:<path>",
		"token json:":                                                   "stands no name",
		"token json:a\nexpires_in cookie:x":                             "neither a duration",
		"token json:a\nexpires_in 0":                                    "ten years",
		"token json:a\nalso X-Y sid":                                    "takes json:<path>",
		"token json:a\nalso Authorization json:b":                       "two credentials in one place, the header field Authorization",
		"token json:a\nalso Connection json:b":                          "RFC 9110 §7.6.1",
		"token json:a\nheader Host x":                                   "base URL",
		"token json:a\nheader Authorization x\nbasic ann canary-secret": "is set by basic",
		"token json:a\nbasic ann canary-secret\njwt canary-secret-canary-secret-canary": "both go into Authorization",
		"token json:a\njwt short":                             "32 at least",
		"token json:a\njwt {\nissuer x\n}":                    "a secret is missing",
		"token json:a\nadd_token_to cookie":                   "cookie <name>",
		"token json:a\nadd_token_to query\nheader_prefix x":   "header only",
		"token json:a\ntoken json:b":                          "given twice",
		"token json:a\npassword canary-secret":                "option of auth oauth2",
		"token json:a\njson {\npassword {{canary-secret}}\n}": "one brace",
		"token json:a\njson {\na b c\n}":                      "takes a name and a value",
		"token json:a\njson canary-secret":                    "in a block",
		"token json:a\ntimeout -1":                            "timeout",
	} {
		_, err := rig.Adapt("localhost {\nauthenticated_api https://api.example.com {\nauth login https://api.example.com/login {\n" + block + "\n}\n}\n}")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
	for url, want := range map[string]string{
		"http://nas.example.com/login": "insecure_http", "ftp://nas.example.com": "it is no URL", "https://ann:canary@nas.example.com": "see basic", "{env.NO_SUCH}": "NO_SUCH",
		"https://nas.example.com/#x": "fragment",
	} {
		err := loadHandler(`"name":"a","base_url":"https://api.example.com","auth":{"method":"login","url":` + strconv.Quote(url) + `,"token":"body"}`)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
