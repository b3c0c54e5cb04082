// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	authenticatedapi "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
)

// metricsCanary is in each secret of the tests of metrics and events: in tokens, client secrets,
// and texts of providers and APIs.
const metricsCanary = "canary"

// metricsRig is a provider, an API and the Caddyfile between them.
type metricsRig struct {
	provider *rig.API
	admin    string
	tokens   atomic.Int64           // how many were issued
	fails    atomic.Pointer[string] // what the provider answers in place of a token
}

func newMetricsRig(t *testing.T) *metricsRig {
	t.Helper()
	r := &metricsRig{admin: rig.Free(t)}
	r.provider = rig.NewAPI(t, func(request string) string {
		if fails := r.fails.Load(); fails != nil {
			return *fails
		}
		switch {
		case strings.HasPrefix(request, "POST /rejected"):
			return oauthRefusal("400 Bad Request", "invalid_client")
		case strings.HasPrefix(request, "POST /down"):
			return rig.Response("500 Internal Server Error", "", metricsCanary)
		}
		return rig.Response("200 OK", "Content-Type: application/json\r\n", fmt.Sprintf(
			`{"access_token":"%s-a%d","refresh_token":"%[1]s-r%[2]d","token_type":"bearer","expires_in":3600}`, metricsCanary, r.tokens.Add(1)))
	})
	return r
}

func oauthRefusal(status, code string) string {
	return rig.Response(status, "Content-Type: application/json\r\n", `{"error":"`+code+`","error_description":"`+metricsCanary+`"}`)
}

// machine and person are datasources of the Caddyfile, with their base URL.
func (r *metricsRig) machine(name, base, path string) string {
	return r.datasource(name, base, "auth oauth2 client_credentials {\n"+r.client(path)+"}")
}

func (r *metricsRig) person(name, base, options string) string {
	return r.datasource(name, base, "auth oauth2 authorization_code {\n"+r.client("/token")+"authorization_url http://"+r.provider.Addr+
		"/authorize\nredirect_url https://gateway.example.com/connect/callback\n"+options+"}")
}

func (r *metricsRig) client(path string) string {
	return "token_url http://" + r.provider.Addr + path + "\nclient_id me\nclient_secret " + metricsCanary + "-secret\n"
}

func (*metricsRig) datasource(name, base, auth string) string {
	return "handle_path /" + name + "/* {\nauthenticated_api http://" + base + " {\nname " + name + "\n" + auth + "\n}\n}\n"
}

// caddyfile puts datasources into a site.
func (r *metricsRig) caddyfile(t *testing.T, global string, datasources ...string) string {
	t.Helper()
	t.Setenv("TEST_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	return "{\nadmin " + r.admin + "\npersist_config off\nauto_https off\ngrace_period 1s\nstorage file_system " + filepath.ToSlash(t.TempDir()) +
		"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n" + global + "\n}\nhttp://GATEWAY {\n" + strings.Join(datasources, "") + "}"
}

// connectAccount connects an account as the console does when a provider sends a code.
func connectAccount(t *testing.T, datasource, connection string) {
	t.Helper()
	m := methodOf(t, datasource)
	flow, _, err := m.Begin(t.Context(), connection, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Finish(t.Context(), flow, "code"); err != nil {
		t.Fatal(err)
	}
}

func methodOf(t *testing.T, datasource string) *oauth.Method {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("authenticated_api")
	if err != nil {
		t.Fatal(err)
	}
	methods := app.(*authenticatedapi.App).OAuth()
	i := slices.IndexFunc(methods, func(m *oauth.Method) bool { return m.Datasource() == datasource })
	return methods[i]
}

// scrape returns the module's lines of Caddy's metrics, without the prefix that all names have.
// Times are replaced by TIME, and of a histogram only the count is there.
func (r *metricsRig) scrape(t *testing.T) []string {
	t.Helper()
	res, err := newClient(t).Get("http://" + r.admin + "/metrics") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d: %v", res.StatusCode, err)
	}
	if strings.Contains(string(text), metricsCanary) {
		t.Errorf("a secret is in %s", text)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, ours := strings.CutPrefix(strings.TrimSpace(line), "caddy_authenticated_api_")
		if !ours || strings.Contains(line, "_bucket{") || strings.Contains(line, "_sum{") {
			continue
		}
		if strings.Contains(line, "_timestamp_") {
			line = regexp.MustCompile(`1\.\d+e\+09$`).ReplaceAllString(line, "TIME")
		}
		if strings.HasPrefix(line, "storage_errors_total") { // it is tried again
			line = regexp.MustCompile(`[1-9]\d*$`).ReplaceAllString(line, "SOME")
		}
		// Labels come in the order of the alphabet.
		lines = append(lines, regexp.MustCompile(`\{(code="[^"]*"),(datasource="[^"]*")`).ReplaceAllString(line, "{$2,$1"))
	}
	return lines
}

// wantLines compares the lines of a scrape that are about some datasources.
func wantLines(t *testing.T, got []string, datasource string, want ...string) {
	t.Helper()
	var of []string
	for _, line := range got {
		if strings.Contains(line, `datasource="`+datasource+`"`) {
			of = append(of, strings.Replace(line, `datasource="`+datasource+`"`, "DS", 1))
		}
	}
	slices.Sort(of)
	slices.Sort(want)
	if !slices.Equal(of, want) {
		t.Errorf("the metrics of %s are\n%s\nwant\n%s", datasource, strings.Join(of, "\n"), strings.Join(want, "\n"))
	}
}

// replayed are the series of replays_total, with those that are not 0.
func replayed(counts map[string]int, more ...string) []string {
	for _, outcome := range []string{"served", "refused", "unanswered", "not_renewed", "not_replayable"} {
		more = append(more, fmt.Sprintf(`replays_total{DS,outcome="%s"} %d`, outcome, counts[outcome]))
	}
	return more
}

// requestedTokens are the series of token requests and of states.
func requestedTokens(grant string, counts map[string]int, states map[string]int, more ...string) []string {
	total := 0
	for _, outcome := range []string{"success", "refused", "failed"} {
		total += counts[outcome]
		more = append(more, fmt.Sprintf(`token_requests_total{DS,grant="%s",outcome="%s"} %d`, grant, outcome, counts[outcome]))
	}
	for state, n := range states {
		more = append(more, fmt.Sprintf(`connections{DS,state="%s"} %d`, state, n))
	}
	if !slices.Contains(more, storageErrors) {
		more = append(more, `storage_errors_total{DS} 0`)
	}
	return append(more, fmt.Sprintf(`token_request_duration_seconds_count{DS,grant="%s"} %d`, grant, total))
}

const storageErrors = `storage_errors_total{DS} SOME`

// stated are the states of the shared connection, of which it has one.
func stated(state string) map[string]int {
	states := map[string]int{"connected": 0, "failing": 0, "not_connected": 0, "reauthorization_required": 0}
	states[state] = 1
	return states
}

// TestMetrics: a scrape of Caddy's own metrics has what design and docs promise, and goes on after
// a reload.
func TestMetrics(t *testing.T) {
	r := newMetricsRig(t)
	api := rig.NewAPI(t, accepting("Authorization: Bearer "+metricsCanary+"-a2"))
	crm, plain := r.machine("crm", api.Addr, "/token"), r.datasource("plain", api.Addr, "auth bearer "+metricsCanary)
	file := filepath.Join(t.TempDir(), "secret")
	rotate(t, file, metricsCanary)
	config := r.caddyfile(t, "", crm, plain, r.machine("rejected", api.Addr, "/rejected"), r.machine("down", api.Addr, "/down"),
		r.datasource("filed", api.Addr, "auth bearer {file."+filepath.ToSlash(file)+"}"), r.person("shared", api.Addr, ""),
		r.person("users", api.Addr, "connection {http.request.header.X-User} trusted\n"))
	gateway := rig.Start(t, config)

	wantOK(t, rig.Get(t, gateway, "/crm/x", "")) // the first token is refused, the second is not
	for _, path := range []string{"/crm/%252e%252e/x", "/plain/x", "/plain/x", "/rejected/x", "/down/x", "/filed/x", "/shared/x"} {
		rig.Get(t, gateway, path, "")
	}
	r.tokens.Store(1)
	connectAccount(t, "users", "ann")
	for _, user := range []string{"ann", "ben", ""} {
		rig.Get(t, gateway, "/users/x", "X-User: "+user+"\r\n")
	}
	got := r.scrape(t)
	crmWant := replayed(map[string]int{"served": 1}, requestedTokens("client_credentials", map[string]int{"success": 2}, stated("connected"),
		`requests_rejected_total{DS,code="bad-path"} 1`, `cached_connections{DS} 1`, `last_success_timestamp_seconds{DS} TIME`,
		`token_expiry_timestamp_seconds{DS} TIME`)...)
	wantLines(t, got, "crm", crmWant...)
	wantLines(t, got, "plain", replayed(nil, `refusals_total{DS,status="401"} 2`)...)
	wantLines(t, got, "rejected", replayed(nil, requestedTokens("client_credentials", map[string]int{"refused": 1}, stated("failing"),
		`requests_rejected_total{DS,code="token-rejected"} 1`, `cached_connections{DS} 0`)...)...)
	wantLines(t, got, "down", replayed(nil, requestedTokens("client_credentials", map[string]int{"failed": 1}, stated("failing"),
		`requests_rejected_total{DS,code="token-unavailable"} 1`, `cached_connections{DS} 0`)...)...)
	wantLines(t, got, "filed", replayed(map[string]int{"not_renewed": 1}, `refusals_total{DS,status="401"} 1`)...)
	wantLines(t, got, "shared", replayed(nil, requestedTokens("authorization_code", nil, stated("not_connected"),
		`requests_rejected_total{DS,code="authorization-required"} 1`, `cached_connections{DS} 0`)...)...)
	wantLines(t, got, "users", replayed(nil, requestedTokens("authorization_code", map[string]int{"success": 1},
		map[string]int{"connected": 1, "failing": 0, "reauthorization_required": 0},
		`requests_rejected_total{DS,code="authorization-required"} 1`, `requests_rejected_total{DS,code="identity-required"} 1`,
		`cached_connections{DS} 2`, `last_success_timestamp_seconds{DS} TIME`)...)...)
	wantMetricsDocumented(t, got)

	load := func(config string) {
		t.Helper()
		if err := rig.Load(strings.ReplaceAll(config, "GATEWAY", gateway)); err != nil {
			t.Fatal(err)
		}
	}
	load(config)
	wantLines(t, r.scrape(t), "crm", crmWant...)
	load(r.caddyfile(t, "", plain))
	got = r.scrape(t)
	wantLines(t, got, "crm")
	wantLines(t, got, "plain", replayed(nil, `refusals_total{DS,status="401"} 2`)...)
}

// TestMetricsOfUnreadableStorage: an account that may be there, and cannot be read, fails; it is
// not taken for one that nobody has connected.
func TestMetricsOfUnreadableStorage(t *testing.T) {
	r := newMetricsRig(t)
	config := r.caddyfile(t, "", r.person("shared", rig.NewAPI(t, nil).Addr, ""))
	file := rig.Save(t, "no folder")
	config = regexp.MustCompile(`storage file_system \S+`).ReplaceAllLiteralString(config, "storage file_system "+filepath.ToSlash(file))
	gateway := rig.Start(t, config)
	if res := rig.Get(t, gateway, "/shared/x", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the client got %d", res.StatusCode)
	}
	wantLines(t, r.scrape(t), "shared", replayed(nil, requestedTokens("authorization_code", nil, stated("failing"),
		`requests_rejected_total{DS,code="token-unavailable"} 1`, `cached_connections{DS} 0`, storageErrors)...)...)
}

// TestMetricsOfFailingStorage: a storage that fails is counted while callers are still served with
// the token in memory, and status tells of it until the storage works again.
func TestMetricsOfFailingStorage(t *testing.T) {
	r := newMetricsRig(t)
	config := r.caddyfile(t, "", r.person("shared", rig.NewAPI(t, nil).Addr, ""))
	gateway := rig.Start(t, config)
	connectAccount(t, "shared", "")
	folder := regexp.MustCompile(`storage file_system (\S+)`).FindStringSubmatch(config)[1]
	served := func(lastError, failures string) {
		t.Helper()
		wantOK(t, rig.Get(t, gateway, "/shared/x", ""))
		res, err := newClient(t).Get("http://" + r.admin + "/authenticated_api/connections") //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var statuses []connection.Status
		if err := json.NewDecoder(res.Body).Decode(&statuses); err != nil {
			t.Fatal(err)
		}
		if len(statuses) != 1 || statuses[0].State != connection.StateConnected || statuses[0].LastError != lastError {
			t.Errorf("%+v, want %q", statuses, lastError)
		}
		got := r.scrape(t)
		if want := `storage_errors_total{datasource="shared"} ` + failures; !slices.Contains(got, want) {
			t.Errorf("%s\nwant %s", strings.Join(got, "\n"), want)
		}
	}
	served("", "0")
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	served("storage_failed", "SOME")
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	served("", "SOME")
}

// wantMetricsDocumented compares the metrics, and the outcomes and states that they have, with the
// page about them.
func wantMetricsDocumented(t *testing.T, lines []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, line := range lines {
		name, labels, _ := strings.Cut(line, "{")
		var names []string
		for _, m := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(labels, -1) {
			names = append(names, m[1])
		}
		seen[strings.TrimSuffix(name, "_count")+"{"+strings.Join(names, ",")+"}"] = true
	}
	known := make(map[string]bool)
	for _, row := range tables(section(t, "docs/operations.md", "Metrics")) {
		for name := range words([][]string{row}) {
			known[strings.TrimPrefix(name, "caddy_authenticated_api_")] = true
		}
		for _, line := range lines {
			name, labels, _ := strings.Cut(line, "{")
			if !strings.Contains(row[0], "_api_"+strings.TrimSuffix(name, "_count")+"{") {
				continue
			}
			if m := regexp.MustCompile(`(?:outcome|state)="(\w+)"`).FindStringSubmatch(labels); m != nil && !strings.Contains(row[1], "`"+m[1]+"`") {
				t.Errorf("docs/operations.md does not explain %s", line)
			}
		}
	}
	if !maps.Equal(seen, known) {
		t.Errorf("the metrics are %v, docs/operations.md has %v", seen, known)
	}
}

// TestMetricsOfReplays: each outcome of a replay is counted, and a status that an API makes up is
// no label.
func TestMetricsOfReplays(t *testing.T) {
	for name, tt := range map[string]struct {
		answer  func(n int64) string
		options string
		body    string
		want    []string
	}{
		"refused": {
			answer: func(int64) string { return rig.Response("401 Unauthorized", "", "") },
			want:   replayed(map[string]int{"refused": 1}, `refusals_total{DS,status="401"} 1`),
		},
		"unanswered": {
			answer: func(n int64) string {
				if n > 1 {
					return ""
				}
				return rig.Response("401 Unauthorized", "", "")
			},
			want: replayed(map[string]int{"unanswered": 1}, `requests_rejected_total{DS,code="api-unreachable"} 1`),
		},
		"not replayable": {
			answer:  func(int64) string { return rig.Response("401 Unauthorized", "", "") },
			options: "replay 1B\n", body: "two",
			want: replayed(map[string]int{"not_replayable": 1}, `refusals_total{DS,status="401"} 1`),
		},
		"named status": {
			answer:  func(int64) string { return rig.Response("418 I'm a teapot", "", "") },
			options: "refresh_on 418\n",
			want:    replayed(map[string]int{"refused": 1}, `refusals_total{DS,status="418"} 1`),
		},
		"another status": {
			answer: func(int64) string {
				return rig.Response("477 Made up", "WWW-Authenticate: Bearer error=invalid_token\r\n", "")
			},
			want: replayed(nil, `refusals_total{DS,status="other"} 1`),
		},
		"a failure of its own": {
			answer: func(int64) string { return rig.Response("500 Internal Server Error", "", "") },
			want:   replayed(nil),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMetricsRig(t)
			file := filepath.Join(t.TempDir(), "secret")
			rotate(t, file, metricsCanary+"1")
			var n atomic.Int64
			api := rig.NewAPI(t, func(string) string {
				rotate(t, file, metricsCanary+"2")
				return tt.answer(n.Add(1))
			})
			gateway := rig.Start(t, r.caddyfile(t, "", r.datasource("d", api.Addr, "auth bearer {file."+filepath.ToSlash(file)+"}\n"+tt.options)))
			rig.Do(t, gateway, "POST", "/d/x", "", tt.body)
			wantLines(t, r.scrape(t), "d", tt.want...)
		})
	}
}
