// SPDX-License-Identifier: Apache-2.0

// Package examples runs each example of a provider as it stands, with the hosts replaced by a fake
// that is as strict as the provider's documentation.
package examples

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

const (
	clientID     = "client-of-the-example"
	clientSecret = "secret-of-the-example"
	ghostSecret  = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	assertion    = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"

	folder = "../../examples/"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// serviceAccount writes the file of a service account of Google.
func serviceAccount(t *testing.T, url, key string) string {
	t.Helper()
	if key == "" {
		return ""
	}
	pem, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "private_key_id": "key-1", "private_key": string(pem), "client_email": "gateway@p.iam.gserviceaccount.com",
		"token_uri": url + "/oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return rig.Save(t, string(text))
}

var (
	variable = regexp.MustCompile(`\{env\.([A-Z0-9_]+)\}`)
	byName   = regexp.MustCompile(`\{\$(?:API_URL|SNOWFLAKE_KEY):([^}]+)\}`)
	preset   = regexp.MustCompile(`(?m)^\s*provider \S+(?: \S+)?$`)
	host     = regexp.MustCompile(`(?m)^(\s*(?:authenticated_api|discover|token_url|authorization_url|revocation_url) )https://([^/\s]+)`)
)

// writtenOut returns a configuration with the endpoints of its preset written out, so that they
// can lead to the fake.
func writtenOut(t *testing.T, config string, code bool) string {
	t.Helper()
	return preset.ReplaceAllStringFunc(config, func(line string) string {
		words := strings.Fields(line)
		i := slices.IndexFunc(oauth.Presets(), func(p oauth.Preset) bool { return p.Name == words[1] })
		if i < 0 {
			t.Fatalf("%s: there is no such preset", line)
		}
		p := oauth.Presets()[i]
		tenant := strings.NewReplacer()
		if len(words) > 2 { // in the place of what stands there without a word
			tenant = strings.NewReplacer(p.Tenant, words[2], "/common/", "/"+words[2]+"/", "login.salesforce.com", words[2])
		}
		for _, option := range []struct {
			name, url string
			code      bool
		}{{"token_url", p.TokenURL, false}, {"authorization_url", p.AuthorizationURL, true}, {"revocation_url", p.RevocationURL, true}} {
			if option.url != "" && (code || !option.code) && !strings.Contains(config, option.name+" ") {
				line += "\n" + option.name + " " + tenant.Replace(option.url)
			}
		}
		return line
	})
}

// load runs an example.
func load(t *testing.T, q *quirks) (gateway string, f *fake) {
	t.Helper()
	text, err := os.ReadFile(folder + q.file + ".caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	key, cert, public := clientKey(t, cmp.Or(q.signed, q.signedWith, q.auth))
	f = newFake(t, q, public)
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		value := "value-of-" + strings.ToLower(m[1])
		switch {
		case m[1] == "APP_STORE_KEY":
			value = key
		case m[1] == "GHOST_SECRET":
			value = ghostSecret
		case strings.HasSuffix(m[1], "CLIENT_ID") || strings.HasSuffix(m[1], "APPLICATION_ID") || m[1] == "DROPBOX_APP_KEY":
			value = clientID
		case strings.HasSuffix(m[1], "_SECRET"):
			value = clientSecret
		case strings.HasSuffix(m[1], "TOKEN_FILE"):
			value = rig.Save(t, assertion)
		}
		t.Setenv(m[1], value)
	}
	config := strings.NewReplacer(
		"{$GATEWAY:https://gateway.example.com}", "http://GATEWAY", "http://localhost:8080", "http://GATEWAY",
		"/etc/caddy/client-key.pem", key, "/etc/caddy/client.pem", cert, "client_id gateway\n", "client_id "+clientID+"\n",
		"/etc/caddy/snowflake.p8", key, "/etc/caddy/service-account.json", serviceAccount(t, f.url, key),
	).Replace(byName.ReplaceAllString(string(text), "$1"))
	config = host.ReplaceAllString(writtenOut(t, config, q.authorize != ""), "${1}"+f.url+"/$2")
	return rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\n}\n"+config), f
}

// TestExamples has each example get, use, renew and give back its credential.
func TestExamples(t *testing.T) {
	for _, q := range providers {
		t.Run(q.file, func(t *testing.T) {
			gateway, f := load(t, q)
			p := newPerson(t, gateway)
			name, unconnected := "/", 503
			if q.perUser {
				unconnected = 401
			}
			if q.authorize != "" {
				rig.Long(t, "a renewal waits for other nodes")
				name = "/" + q.name + "/"
				p.call(name+q.call, unconnected)
				p.connect(f, q.name)
			}
			if q.authorize == "" && q.token == "" {
				f.wants = q.static
			}
			want := p.call(name+q.call, 200)
			if q.at != "" {
				want = q.at
			}
			if got := strings.TrimPrefix(f.seen[len(f.seen)-1].URL.RequestURI(), "/"); got != want {
				t.Errorf("the API got %s, want %s", got, want)
			}
			switch {
			case q.token == "":
				return
			case q.authorize != "" && !q.refreshes:
				f.endToken()
				p.call(name+q.call, 401)
				return
			}
			f.endToken()
			p.call(name+q.call, 200) // with a token that was fetched or renewed because of the refusal
			if q.authorize == "" {
				return
			}
			p.press(q.name, "refresh") // with the refresh token that the last answer brought, or the first one
			p.call(name+q.call, 200)
			p.press(q.name, "disconnect")
			if q.revocation != "" && !slices.Contains(f.revoked, f.refresh) {
				t.Errorf("the provider was told of %q, want %q", f.revoked, f.refresh)
			}
			p.call(name+q.call, unconnected)
		})
	}
}

// TestAllExamples: no example of a provider is without a row.
func TestAllExamples(t *testing.T) {
	files, err := filepath.Glob(folder + "*.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	// What these show is no provider's, and other tests run it.
	others := []string{
		"api_key_header", "api_key_query", "basic", "bearer", "mutual_tls", "none", "oauth2_private_certificate", "own_reverse_proxy",
		"private_certificate", "quickstart", "quickstart_connect", "several_apis", "signature", "snippets", "mcp",
		"own_keys", "signature_aws", "signature_http_message", "catalogue",
	}
	logins := loginExamples(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfile")
		if _, logsIn := logins[name]; !logsIn && !slices.Contains(others, name) && !slices.ContainsFunc(providers, func(q *quirks) bool { return q.file == name }) {
			t.Errorf("%s has no row in providers", name)
		}
	}
}

// person is ann, with her browser and her curl.
type person struct {
	t       *testing.T
	gateway string
	client  *http.Client
}

func newPerson(t *testing.T, gateway string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &person{t, gateway, &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (p *person) send(method, target string, fields map[string]string) *http.Response {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, target, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth("ann", "ann")
	for name, value := range fields {
		req.Header.Set(name, value)
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		p.t.Fatal(err)
	}
	return res
}

// call calls the API with what a client's own SDK may send, and returns what the API must get.
func (p *person) call(target string, status int) (want string) {
	p.t.Helper()
	fields := map[string]string{"X-Api-Key": "none", "Stripe-Account": "acct_1", "OpenAI-Organization": "org", "As-User": "1", "Cookie": "a=b"}
	if res := p.send(http.MethodGet, "http://"+p.gateway+target, fields); res.StatusCode != status {
		p.t.Fatalf("%s is answered with %d, want %d", target, res.StatusCode, status)
	}
	return wanted[target]
}

// press presses a button of the console, and returns where that leads.
func (p *person) press(name, action string) string {
	p.t.Helper()
	res := p.send(http.MethodPost, "http://"+p.gateway+"/connect/"+name+"/"+action, map[string]string{
		"Origin": "http://" + p.gateway, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded",
	})
	if res.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("%s is answered with %d", action, res.StatusCode)
	}
	return res.Header.Get("Location")
}

// connect connects an account.
func (p *person) connect(f *fake, name string) {
	p.t.Helper()
	callback := f.consented(p.press(name, "connect"))
	if u, err := url.Parse(callback); err != nil || u.Host != p.gateway || u.Path != "/connect/callback" {
		p.t.Fatalf("the provider sends people to %s", callback)
	}
	if res := p.send(http.MethodGet, callback, nil); res.StatusCode >= 400 {
		p.t.Fatalf("the callback is answered with %d", res.StatusCode)
	}
}
