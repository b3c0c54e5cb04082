// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// verifier checks proofs (RFC 9449 §4.3) by code of its own, and remembers them.
type verifier struct {
	mu     sync.Mutex
	seen   map[string]bool // identifiers
	keys   map[string]bool // thumbprints
	nonce  string          // that proofs must have; "" for none
	proofs int
}

// check returns what is wrong with the proof of a request for a URL, or "", and the thumbprint of
// its key. token is what it goes with, "" for none.
func (v *verifier) check(r *http.Request, url, token string) (wrong, thumbprint string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(r.Header["Dpop"]); n != 1 {
		return fmt.Sprintf("%d proofs", n), ""
	}
	var jwk map[string]string
	parsed, err := jwt.Parse(r.Header.Get("Dpop"), func(token *jwt.Token) (any, error) {
		text, _ := json.Marshal(token.Header["jwk"])
		if err := json.Unmarshal(text, &jwk); err != nil {
			return nil, err
		}
		point := []byte{4} // uncompressed
		for _, name := range []string{"x", "y"} {
			raw, err := base64.RawURLEncoding.DecodeString(jwk[name])
			if err != nil {
				return nil, err
			}
			point = append(point, raw...)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}, jwt.WithValidMethods([]string{"ES256"}))
	if err != nil || parsed.Header["typ"] != "dpop+jwt" || jwk["d"] != "" || len(jwk) != 4 {
		return fmt.Sprintf("%v %v", err, jwk), ""
	}
	claims := parsed.Claims.(jwt.MapClaims)
	jti, _ := claims["jti"].(string)
	iat, _ := claims["iat"].(float64)
	sum := sha256.Sum256([]byte(token))
	switch {
	case jti == "" || v.seen[jti]:
		return "a proof comes twice", ""
	case claims["htm"] != r.Method || claims["htu"] != url:
		return fmt.Sprintf("the proof is for %v %v, not for %s %s", claims["htm"], claims["htu"], r.Method, url), ""
	case time.Since(time.Unix(int64(iat), 0)).Abs() > time.Minute:
		return "the proof is of another time", ""
	case token != "" && claims["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) || token == "" && claims["ath"] != nil:
		return "ath", ""
	case v.nonce != "" && claims["nonce"] != v.nonce:
		return "nonce", ""
	}
	v.seen[jti] = true
	v.proofs++
	digest := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + jwk["x"] + `","y":"` + jwk["y"] + `"}`))
	thumbprint = base64.RawURLEncoding.EncodeToString(digest[:])
	v.keys[thumbprint] = true
	return "", thumbprint
}

// boundAPI is an API over TLS, by HTTP/2 or HTTP/1.1, that takes tokens with a proof, and the
// authorization server that binds them.
type boundAPI struct {
	*verifier

	t       testing.TB
	api, as *httptest.Server
	pem     string

	mu      sync.Mutex
	bound   map[string]string // tokens to the thumbprints of their keys
	refused map[string]bool
	issued  int
	bodies  []string
	unbound bool   // tokens are not bound
	host    string // that requests must name; "" for its address
	slash   bool   // the base URL is redirected to one with a slash, before anything is looked at
	route   string // in the Caddyfile; "" for one below /api/
	jkt     string
	protos  map[string]int
}

func newBoundAPI(t testing.TB) *boundAPI {
	t.Helper()
	b := &boundAPI{
		t: t, verifier: &verifier{seen: make(map[string]bool), keys: make(map[string]bool)}, bound: make(map[string]string), refused: make(map[string]bool),
		protos: make(map[string]int),
	}
	b.as = httptest.NewServer(http.HandlerFunc(b.serveAS))
	b.api = httptest.NewUnstartedServer(http.HandlerFunc(b.serveAPI))
	b.api.EnableHTTP2 = true
	b.api.StartTLS()
	t.Cleanup(func() { b.api.Close(); b.as.Close() })
	b.pem = rig.Save(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.api.Certificate().Raw})))
	return b
}

func (b *boundAPI) serveAS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/authorize" {
		b.mu.Lock()
		b.jkt = r.URL.Query().Get("dpop_jkt")
		b.mu.Unlock()
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?code=c&state="+r.URL.Query().Get("state"), http.StatusFound)
		return
	}
	wrong, key := b.check(r, b.as.URL+r.URL.Path, "")
	if wrong == "nonce" {
		w.Header().Set("DPoP-Nonce", b.nonce)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"use_dpop_nonce"}`)
		return
	}
	if wrong != "" {
		b.t.Errorf("the token request: %s", wrong)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jkt != "" && b.jkt != key {
		b.t.Errorf("the code is for the key %s, and is redeemed with %s", b.jkt, key)
	}
	b.issued++
	token, kind := fmt.Sprintf("access-%d", b.issued), "DPoP"
	if b.bound[token] = key; b.unbound {
		kind = "Bearer"
	}
	fmt.Fprintf(w, `{"access_token":%q,"refresh_token":"refresh-%d","expires_in":3600,"token_type":%q}`, token, b.issued, kind)
}

func (b *boundAPI) serveAPI(w http.ResponseWriter, r *http.Request) {
	if b.slash && r.URL.Path == "/v1" {
		http.Redirect(w, r, "/v1/", http.StatusMovedPermanently)
		return
	}
	body, _ := io.ReadAll(r.Body)
	token, scheme := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	origin := b.api.URL
	if b.host != "" {
		origin = "https://" + b.host
	}
	wrong, key := b.check(r, origin+r.URL.EscapedPath(), token)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.protos[r.Proto]++
	switch {
	case wrong == "nonce":
		w.Header().Set("DPoP-Nonce", b.nonce)
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		http.Error(w, "with the nonce", http.StatusUnauthorized)
	case wrong != "" || !scheme || b.bound[token] != key || key == "":
		b.t.Errorf("the API's request: %q %v", wrong, r.Header)
		http.Error(w, wrong, http.StatusForbidden)
	case b.refused[token]:
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		http.Error(w, "no", http.StatusUnauthorized)
	default:
		b.bodies = append(b.bodies, string(body))
		w.Header().Set("DPoP-Nonce", b.nonce)
		fmt.Fprintf(w, "served %s", r.URL)
	}
}

// newSite starts a Caddy.
func (b *boundAPI) newSite(t testing.TB, grant, lines, more string) *site {
	t.Helper()
	s := &site{t: t, log: filepath.Join(t.TempDir(), "log")}
	s.config = "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\nstorage file_system " + filepath.ToSlash(rig.StorageDir(t)) +
		"\nlog {\noutput file " + filepath.ToSlash(s.log) + "\nformat json\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\nhandle_path /connect/* {\n" +
		"authenticated_api_console {\nuser {http.request.header.X-Test-User}\noperators ann\n}\n}\n" +
		cmp.Or(b.route, "handle_path /api/*") + " {\nauthenticated_api " + b.api.URL + "/v1 {\nname mcp\nself_signed_cert " + b.pem + "\n" + more + "\nauth oauth2 " + grant + " {\n" +
		"token_url " + b.as.URL + "/token\nclient_id id\nclient_auth none\ndpop\n" + lines + "\n}\n}\n}\n}\n"
	s.addr = rig.Start(t, s.config)
	s.console = "http://" + s.addr + "/connect/"
	s.client = newBrowser(t)
	return s
}

// post sends a body through the gateway.
func (s *site) post(path, body string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Dpop", "a proof of the client's own")
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return reply{res.StatusCode, string(text), res.Header}
}

// TestDPoP: each request has a proof of its own for the URL that the API gets, also a request that
// is sent again with another token or with the API's nonce, over HTTP/2 and over HTTP/1.1.
func TestDPoP(t *testing.T) {
	for name, more := range map[string]string{"HTTP/2.0": "", "HTTP/1.1": "transport http {\nversions 1.1\n}"} {
		t.Run(name, func(t *testing.T) {
			b := newBoundAPI(t)
			s := b.newSite(t, "client_credentials", "", more)
			if got := s.get("/api/a%2Fb?c=d"); got.status != 200 || got.text != "served /v1/a%2Fb?c=d" {
				t.Errorf("%d %s", got.status, got.text)
			}
			// The API refuses the token: another one is had, and the body is sent again.
			b.mu.Lock()
			b.refused["access-1"] = true
			b.mu.Unlock()
			if got := s.post("/api/x", "the body"); got.status != 200 {
				t.Errorf("after a refusal: %d %s", got.status, got.text)
			}
			// Both want a nonce from now on, and another one later.
			for _, nonce := range []string{"one", "two"} {
				b.verifier.mu.Lock()
				b.nonce = nonce
				b.verifier.mu.Unlock()
				if got := s.post("/api/x", "with "+nonce); got.status != 200 || got.header.Get("Dpop-Nonce") != "" {
					t.Errorf("with a nonce: %d %s %v", got.status, got.text, got.header)
				}
			}
			b.mu.Lock()
			b.refused["access-2"] = true
			b.mu.Unlock()
			s.restart() // the forced refreshes of one process are ten seconds apart
			if got := s.post("/api/x", "renewed with a nonce"); got.status != 200 {
				t.Errorf("a renewal with a nonce: %d %s", got.status, got.text)
			}
			want := []string{"", "the body", "with one", "with two", "renewed with a nonce"}
			if fmt.Sprint(b.bodies) != fmt.Sprint(want) {
				t.Errorf("the API has got %q, want %q", b.bodies, want)
			}
			if len(b.keys) != 1 {
				t.Errorf("there are %d keys, want one for the connection, after a restart too", len(b.keys))
			}
			if b.protos[name] == 0 || len(b.protos) != 1 {
				t.Errorf("the API was asked by %v", b.protos)
			}
		})
	}
}

// TestDPoPAccount: each consent has a key of its own, which the code is bound to, and which is
// sealed wherever it goes.
func TestDPoPAccount(t *testing.T) {
	b := newBoundAPI(t)
	s := b.newSite(t, "authorization_code", "authorization_url "+b.as.URL+"/authorize\nredirect_url http://GATEWAY/connect/callback", "")
	s.mustConnect()
	if b.jkt == "" {
		t.Error("the authorization request has no dpop_jkt")
	}
	s.wants(200, "served /v1/x")
	s.restart()
	s.wants(200, "served /v1/x")
	b.mu.Lock()
	b.jkt = "" // refreshes know the key of the consent
	b.mu.Unlock()
	if got := s.send(http.MethodPost, s.console+"mcp/refresh"); got.status != http.StatusSeeOther {
		t.Errorf("Refresh: %d %s", got.status, got.text)
	}
	s.wants(200, "served /v1/x")
	if len(b.keys) != 1 {
		t.Errorf("%d keys for one consent", len(b.keys))
	}
	s.mustConnect()
	s.wants(200, "served /v1/x")
	if len(b.keys) != 2 {
		t.Errorf("%d keys for two consents", len(b.keys))
	}
	log, err := os.ReadFile(s.log)
	if err != nil || strings.Contains(string(log), "eyJ") || strings.Contains(string(log), "access-1") {
		t.Errorf("a proof or a token is in the log (%v)", err)
	}
}

// TestDPoPUnbound: a provider that ignores the proof has issued a token that anybody could use, so
// none is kept.
func TestDPoPUnbound(t *testing.T) {
	b := newBoundAPI(t)
	b.unbound = true
	s := b.newSite(t, "client_credentials", "", "")
	if got := s.get("/api/x"); got.status != 503 || got.problem() != "token-unavailable" || len(b.bodies) != 0 {
		t.Errorf("%d %s, and the API has got %q", got.status, got.text, b.bodies)
	}
	rig.WantLogged(t, s.log, "there is no valid token, and none could be obtained")
}

// TestDPoPBig: a body that is too large to be sent again is not sent twice; its refusal for the
// nonce passes, costs no token, and the next request has the nonce.
func TestDPoPBig(t *testing.T) {
	b := newBoundAPI(t)
	s := b.newSite(t, "client_credentials", "", "")
	s.wants(200, "served")
	b.verifier.mu.Lock()
	b.nonce = "one"
	b.verifier.mu.Unlock()
	big := strings.Repeat("x", 1<<20)
	if got := s.post("/api/x", big); got.status != 401 || b.issued != 1 {
		t.Errorf("%d, and %d tokens were issued", got.status, b.issued)
	}
	if got := s.post("/api/x", big); got.status != 200 || b.issued != 1 {
		t.Errorf("%d, and %d tokens were issued", got.status, b.issued)
	}
}

// TestDPoPNonceHost: the nonce counts for the host that the proof is about, also where header_up
// has set another Host than that of the base URL.
func TestDPoPNonceHost(t *testing.T) {
	b := newBoundAPI(t)
	b.host = "api.internal"
	s := b.newSite(t, "client_credentials", "", "header_up Host api.internal")
	s.wants(200, "served")
	b.verifier.mu.Lock()
	b.nonce = "one"
	b.verifier.mu.Unlock()
	s.wants(200, "served")
}

// TestDPoPNonceTurn: a request that is sent again for a slash at the end of the base URL is sent
// once more with the nonce, which the redirect does not tell, and the caller sees nothing of it.
func TestDPoPNonceTurn(t *testing.T) {
	b := newBoundAPI(t)
	b.slash, b.route = true, "handle" // at the root of a site the caller has one URL for both
	s := b.newSite(t, "client_credentials", "", "")
	b.verifier.mu.Lock()
	b.nonce = "one"
	b.verifier.mu.Unlock()
	for range 2 {
		if got := s.get("/"); got.status != 200 || got.text != "served /v1/" || got.header.Get("Dpop-Nonce") != "" {
			t.Errorf("%d %s %v", got.status, got.text, got.header)
		}
	}
	if b.issued != 1 {
		t.Errorf("%d tokens were issued", b.issued)
	}
}
