// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

var signatureSize = regexp.MustCompile(`Signature: •••• \(\d+ bytes\)`)

// startExplained runs a Caddy with a route of each kind, in front of an API that must not be
// asked.
func startExplained(t *testing.T, api string) (gateway, admin string) {
	t.Helper()
	admin = rig.Free(t)
	route := func(path, base, block string) string {
		return "handle_path /" + path + "/* {\nauthenticated_api " + base + " {\nname " + path + "\n" + block + "\n}\n}\n"
	}
	client := "token_url http://" + api + "/token\nclient_id me\nclient_secret " + adminSecret + "\n"
	gateway = rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\ngrace_period 1s\nstorage file_system "+t.TempDir()+
		"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\n"+
		"basic_auth {\nann $2a$10$SI7bp/WxnML15vrnGTp9fuqLzMdsFjy5NTmkpEs318ry5HrymLoA2\n}\n"+
		route("crm", "http://"+api+"/v1", "auth bearer canary-token-of-24-bytes\nheader X-Tenant canary-tenant\nquery secret canary\n"+
			"signature canary-canary-canary-canary-canary")+
		route("maps", "http://"+api+"/maps/", "auth api_key key canary-key {\nin query\n}")+
		route("bot", "http://"+api+"/v1", "auth api_key bot canary-key {\nin path\n}\nauth api_key canary-cookie {\nin cookie sid\n}\nauth api_key X-Key canary-key-2\npass_request_header Cookie")+
		route("both", "http://"+api, "auth oauth2 client_credentials {\n"+client+"}\nauth api_key X-Key canary-key-2")+
		route("robot", "http://"+api, "auth oauth2 client_credentials {\n"+client+"}")+
		route("files", "http://"+api, "auth oauth2 authorization_code {\n"+client+"authorization_url http://"+api+"/authorize\n"+
			"redirect_url https://gateway.example.com/connect/callback\nconnection {http.auth.user.id}\n}")+
		"handle /own/* {\nauthenticated_api {\nname own\nauth bearer canary-token-of-24-bytes\n}\nreverse_proxy http://"+api+"\n}\n"+
		"handle_path /apis/* {\nauthenticated_apis {\none http://"+api+"/v1 {\nauth bearer canary-token-of-24-bytes\n}\n"+
		"two http://"+api+"/v2 {\nauth bearer canary-token-of-24-bytes\nproxy reverse_proxy\n}\n"+
		"three http://"+api+" {\nauth oauth2 authorization_code {\n"+client+"authorization_url http://"+api+"/authorize\n"+
		"redirect_url https://gateway.example.com/connect/callback\nconnection {http.auth.user.id}\n}\n}\n}\n}\n"+
		"handle /page {\nrespond page\n}\n}")
	return gateway, admin
}

// TestExplain: what is said of a request of each kind, byte by byte, with no secret in it and
// nothing sent.
func TestExplain(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	gateway, admin := startExplained(t, provider.addr)
	note := "note        http.handlers.authentication stands in front, and is taken to let the request pass as it is\n"
	removes := "removes     field Authorization\n            field Cookie\n            field Forwarded\n            field Origin\n" +
		"            field Proxy-Authorization\n            field Referer\n            field X-Forwarded-For\n"
	for name, test := range map[string]struct{ args, want string }{
		"bearer": {"http://GATEWAY/crm/items?q=a%20b", `datasource  crm
sends       GET http://API/v1/items?secret=•••• (6 bytes)&q=a%20b
to          API
with        Host
            Authorization: Bearer •••• (24 bytes)
            X-Appsmith-Signature: •••• (N bytes)
            X-Tenant
` + removes + note},
		"a key in the query": {"DELETE http://GATEWAY/maps/x?key=mine&q=1", `datasource  maps
sends       DELETE http://API/maps/x?key=•••• (10 bytes)&q=1
to          API
with        Host
` + strings.Replace(removes, "removes     ", "removes     parameter key\n            ", 1) + note},
		"keys in a path, a cookie and a field": {"http://GATEWAY/bot/x?a=1", `datasource  bot
sends       GET http://API/v1/bot••••/x?a=1
to          API
with        Host
            Cookie: sid=•••• (13 bytes)
            X-Key: •••• (12 bytes)
` + strings.NewReplacer("            field Cookie\n", "", "X-Forwarded-For\n", "X-Forwarded-For\n            field X-Key\n").Replace(removes) + note},
		"a key beside a token": {"http://GATEWAY/both/x", `datasource  both
sends       GET http://API/x
to          API
with        Host
            Authorization: •••• (not fetched yet)
            X-Key: •••• (12 bytes)
` + strings.Replace(removes, "X-Forwarded-For\n", "X-Forwarded-For\n            field X-Key\n", 1) + note + "            there is no valid token, so one would be fetched first\n"},
		"no token yet": {"http://GATEWAY/robot/x", `datasource  robot
sends       GET http://API/x
to          API
with        Host
            Authorization: •••• (not fetched yet)
` + removes + note + "            there is no valid token, so one would be fetched first\n"},
		"of a user": {"http://GATEWAY/files/x --as ann", `datasource  files
connection  ann
refused     401 authorization-required
            Connect your account of the API at connect_url.
connect_url https://gateway.example.com/connect/
` + removes + note},
		"of nobody": {"http://GATEWAY/files/x", "datasource  files\nrefused     401 identity-required\n            "},
		"bad path":  {"http://GATEWAY/crm/x%00", "datasource  crm\nrefused     400 bad-path\n            "},
		"own proxy": {"http://GATEWAY/own/x", `datasource  own
sends       GET /own/x
with        Authorization: Bearer •••• (24 bytes)
`},
		"of a catalogue": {"http://GATEWAY/apis/one/x?a=1", `datasource  one
sends       GET http://API/v1/x?a=1
to          API
with        Host
            Authorization: Bearer •••• (24 bytes)
` + removes + note},
		"of a catalogue, by Caddy's proxy": {"http://GATEWAY/apis/two", `datasource  two
sends       GET http://API/v2
to          API
with        Host
            Authorization: Bearer •••• (24 bytes)
` + removes + note},
		"of a catalogue and a user": {"http://GATEWAY/apis/three/x --as ann", "datasource  three\nconnection  ann\nrefused     401 authorization-required\n"},
		"unknown to a catalogue":    {"http://GATEWAY/apis/four/x", "refused     404 unknown-api\n            The gateway has no API"},
		"elsewhere":                 {"http://GATEWAY/page", "error: no authenticated_api gets that request; http.handlers.static_response answers it"},
		"nowhere":                   {"http://GATEWAY/none", "error: no authenticated_api gets that request: no route"},
		"no URL":                    {"/crm/x", "error: url: it is a URL of the gateway"},
		"a method":                  {"TRACE http://GATEWAY/crm/x", "datasource  crm\nrefused     405 "},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields("explain " + strings.ReplaceAll(test.args, "GATEWAY", gateway) + " --address " + admin)
			out, _, err := command(t, "", args...)
			if err != nil {
				out = "error: " + err.Error()[strings.LastIndex(err.Error(), admin)+len(admin)+2:]
			}
			got := signatureSize.ReplaceAllString(strings.ReplaceAll(out, provider.addr, "API"), "Signature: •••• (N bytes)")
			if !strings.HasPrefix(got, test.want) || strings.HasSuffix(test.want, note) && got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if strings.Contains(out, "canary") {
				t.Errorf("a secret is in %s", out)
			}
			if js, _, _ := command(t, "", append(args, "--json")...); strings.Contains(js, "canary") {
				t.Errorf("a secret is in %s", js)
			}
		})
	}
	if n := provider.asked(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	connect(t, "files", "ann")
	out, _, err := command(t, "", "explain", "http://"+gateway+"/files/x", "--as", "ann", "--address", admin)
	if err != nil || !strings.Contains(out, "\n            Authorization: Bearer •••• (15 bytes)\n") || provider.asked() != 1 {
		t.Errorf("with an account: %v\n%s", err, out)
	}
	// Requests are served as before.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway+"/files/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ann", "ann")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || provider.asked() != 2 {
		t.Errorf("then a request gets %s, and %d requests were sent", res.Status, provider.asked())
	}
	for body, want := range map[string]int{"": 400, "{}": 400, `{"url":"http://x/","nothing":1}`: 400, `{"url":"ftp://x/"}`: 400} {
		if status, text := askAdmin(t, admin, "POST", "explain", body); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := askAdmin(t, admin, "GET", "explain", ""); status != 405 {
		t.Errorf("GET: %d", status)
	}
}

// TestExplainAfterRefusals: who asks why a route answers 401 or 502 is told what the API and the
// provider have refused, with what can be done.
func TestExplainAfterRefusals(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	gateway, admin := startExplained(t, provider.addr)
	explain := func(path string) string {
		t.Helper()
		out, _, err := command(t, "", "explain", "http://"+gateway+path, "--address", admin)
		if err != nil || strings.Contains(out, "canary") {
			t.Errorf("%v\n%s", err, out)
		}
		return fieldsOf(out)
	}
	get := func(path string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ann", "ann")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	provider.answers(rig.Response("401 Unauthorized", "Content-Type: application/json\r\n",
		`{"error":"invalid_client","error_description":"`+adminSecret+`"}`))
	get("/crm/x")
	get("/robot/x")
	if got := explain("/crm/x"); !strings.Contains(got, "the API has refused the credential with 401 at 20") ||
		!strings.Contains(got, "compare the credential") {
		t.Errorf("a refused key: %s", got)
	}
	if got := explain("/robot/x"); !strings.Contains(got, "failed: invalid_client; check client_id") {
		t.Errorf("a refused client: %s", got)
	}
	if got := explain("/maps/x"); strings.Contains(got, "has refused") {
		t.Errorf("nothing was refused: %s", got)
	}
}
