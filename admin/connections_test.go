// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestAdminRequests: requests that name no connection, with and without a datasource that could
// have some.
func TestAdminRequests(t *testing.T) {
	for name, site := range map[string]string{
		"without the app": "respond ok", "without OAuth": "authenticated_api http://127.0.0.1:9 {\nname plain\nauth bearer t\n}",
	} {
		t.Run(name, func(t *testing.T) {
			admin := rig.Free(t)
			rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\n"+site+"\n}")
			if status, text := askAdmin(t, admin, "GET", "connections", ""); status != 200 || text != "[]" {
				t.Errorf("the list is %d %s", status, text)
			}
			if status, text := askAdmin(t, admin, "GET", "connections?datasource=crm", ""); status != 404 || !strings.Contains(text, "crm") {
				t.Errorf("an unknown one: %d %s", status, text)
			}
			if status, text := askAdmin(t, admin, "POST", "connections", "{}"); status != 405 || !strings.Contains(text, "GET") {
				t.Errorf("POST of the list: %d %s", status, text)
			}
			for _, verb := range []string{"refresh", "disconnect", "connect"} {
				for _, test := range []struct {
					method, contentType, body string
					want                      int
					text                      string
				}{
					{"GET", "application/json", "", 405, "it takes POST"},
					{"PUT", "application/json", `{"datasource":"crm"}`, 405, "it takes POST"},
					{"POST", "", `{"datasource":"crm"}`, 415, "application/json"},
					{"POST", "text/plain", `{"datasource":"crm"}`, 415, "application/json"},
					{"POST", "application/x-www-form-urlencoded", "datasource=crm", 415, "application/json"},
					{"POST", "text/plain; application/json", `{"datasource":"crm"}`, 415, "application/json"},
					{"POST", "application/json", "", 400, "the body"},
					{"POST", "application/json", "null", 400, "datasource: it is missing"},
					{"POST", "application/json", "{}", 400, "datasource: it is missing"},
					{"POST", "application/json", "[]", 400, "the body"},
					{"POST", "application/json", `{"datasource":5}`, 400, "the body"},
					{"POST", "application/json", `{"datasource":"crm","user":"ann"}`, 400, "unknown field"},
					{"POST", "application/json", `{"datasource":"crm"}{}`, 400, "something follows"},
					{"POST", "application/json", `{"datasource":"crm"} x`, 400, "something follows"},
					{"POST", "application/json", "{\"datasource\":\"crm\xff\"}", 400, "UTF-8"},
					{"POST", "application/json", `{"datasource":"` + strings.Repeat("c", 8<<10) + `"}`, 400, "8192 bytes"},
					{"POST", "application/json", `{"datasource":"crm"}`, 404, "crm"},
					{"POST", "application/json; charset=utf-8", ` {"datasource":"plain"}` + "\n", 404, "plain"},
				} {
					status, text := askAdminAs(t, admin, test.method, verb, test.contentType, test.body)
					var answer struct{ Error string }
					if err := json.Unmarshal([]byte(text), &answer); err != nil || status != test.want || !strings.Contains(answer.Error, test.text) {
						t.Errorf("%s %s %.100s: %d %s, want %d with %q", test.method, verb, test.body, status, text, test.want, test.text)
					}
				}
			}
		})
	}
}

// TestAdminConnections: each request for each kind of datasource, before and after accounts are
// connected.
func TestAdminConnections(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	admin := startConnections(t, provider, t.TempDir())
	check := func(verb, body string, want int, parts ...string) {
		t.Helper()
		status, text := askAdmin(t, admin, "POST", verb, body)
		for _, part := range parts {
			if status != want || !strings.Contains(text, part) {
				t.Errorf("%s %s: %d %s, want %d with %q", verb, body, status, text, want, part)
			}
		}
	}
	list := func(query string, want ...string) {
		t.Helper()
		if got := listed(t, admin, query); !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
	}

	list("", "crm/=not_connected", "files/=not_connected", "robot/=not_connected")
	list("?datasource=robot", "robot/=not_connected")
	list("?datasource=files", "files/=not_connected")
	for _, name := range []string{"nobody", "plain"} {
		if status, text := askAdmin(t, admin, "GET", "connections?datasource="+name, ""); status != 404 || !strings.Contains(text, name) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for _, verb := range []string{"refresh", "disconnect", "connect"} {
		check(verb, `{"datasource":"nobody"}`, 404, `\"crm\", \"files\", \"robot\"`)
		check(verb, `{"datasource":"plain"}`, 404, "without auth oauth2")
		check(verb, `{"datasource":"crm","connection":"ann"}`, 400, "connection: ", "leave it out")
		check(verb, `{"datasource":"files"}`, 400, "connection: ", "{http.auth.user.id}")
		check(verb, `{"datasource":"files","connection":""}`, 400, "the connection is empty")
		check(verb, `{"datasource":"files","connection":null}`, 400, "connection: ")
	}
	check("connect", `{"datasource":"robot"}`, 400, "client_credentials", "authorization_code")
	check("disconnect", `{"datasource":"robot"}`, 400, "client_credentials", "authorization_code")
	check("refresh", `{"datasource":"crm"}`, 409, "must be connected")
	check("refresh", `{"datasource":"files","connection":"ann"}`, 409, "must be connected", `\"ann\"`)
	check("disconnect", `{"datasource":"crm"}`, 404, "is not there")
	check("disconnect", `{"datasource":"files","connection":"ann"}`, 404, "is not there", `\"ann\"`)
	if n := provider.asked(); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}

	for _, body := range []string{`{"datasource":"crm"}`, `{"datasource":"files","connection":"ann"}`} {
		status, text := askAdmin(t, admin, "POST", "connect", body)
		var answer struct{ URL string }
		err := json.Unmarshal([]byte(text), &answer)
		link, parseErr := url.Parse(answer.URL)
		if err != nil || parseErr != nil || status != 200 || link.Scheme != "https" || link.Host != "gateway.example.com" ||
			link.Path != "/connect/" || link.Query().Get("ticket") == "" {
			t.Errorf("connect %s: %d %s", body, status, text)
		}
	}

	connect(t, "crm", "")
	connect(t, "files", "zoe")
	connect(t, "files", "ann")
	check("refresh", `{"datasource":"robot"}`, 200, `"datasource":"robot"`, `"state":"connected"`, `"grant":"client_credentials"`)
	before := provider.asked()
	check("refresh", `{"datasource":"crm"}`, 200, `"datasource":"crm"`, `"state":"connected"`, `"connected_at"`, `"last_error":""`)
	check("refresh", `{"datasource":"files","connection":"ann"}`, 200, `"connection":"ann"`, `"state":"connected"`)
	if n := provider.asked() - before; n != 2 {
		t.Errorf("two refreshes made %d token requests", n)
	}
	list("", "crm/=connected", "files/ann=connected", "files/zoe=connected", "robot/=connected")
	list("?datasource=files", "files/ann=connected", "files/zoe=connected")
	check("refresh", `{"datasource":"files","connection":"bob"}`, 409, "must be connected")

	check("disconnect", `{"datasource":"files","connection":"ann"}`, 200, `{"revoked":false}`)
	check("disconnect", `{"datasource":"files","connection":"ann"}`, 404, "is not there")
	list("?datasource=files", "files/zoe=connected")
	check("disconnect", `{"datasource":"crm"}`, 200, `{"revoked":true}`)
	list("?datasource=crm", "crm/=not_connected")

	connect(t, "crm", "")
	provider.answers(rig.Response("500 Internal Server Error", "", adminToken))
	check("disconnect", `{"datasource":"crm"}`, 200, `"revoked":false`, `"warning":"`)
	list("?datasource=crm", "crm/=not_connected")
}

// TestAdminRefreshFails: what is said of a refresh that a provider refuses, or cannot do.
func TestAdminRefreshFails(t *testing.T) {
	for name, test := range map[string]struct {
		datasource, answer string
		want               int
		text               string
		state              string
	}{
		"refused for good":         {"robot", oauthError("401 Unauthorized", "invalid_client"), 502, "client_auth", "connected"},
		"down":                     {"robot", rig.Response("500 Internal Server Error", "", adminToken), 503, "answered 500", "connected"},
		"limited":                  {"robot", rig.Response("429 Too Many Requests", "Retry-After: 60\r\n", ""), 503, "wait", "connected"},
		"interactive, refused":     {"crm", oauthError("401 Unauthorized", "invalid_client"), 502, "client_auth", "connected"},
		"interactive, down":        {"crm", rig.Response("503 Service Unavailable", "", adminToken), 503, "answered 503", "connected"},
		"interactive, too early":   {"crm", oauthError("400 Bad Request", "invalid_grant"), 409, "(invalid_grant)", "connected"},
		"interactive, other words": {"crm", rig.Response("401 Unauthorized", "", adminToken), 409, "goes on being used", "connected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_KEY", seal.NewKey())
			provider := newTokenServer(t)
			admin := startConnections(t, provider, t.TempDir())
			body := `{"datasource":"` + test.datasource + `"}`
			if test.datasource == "crm" {
				connect(t, "crm", "")
			} else if status, text := askAdmin(t, admin, "POST", "refresh", body); status != 200 {
				t.Fatalf("%d %s", status, text)
			}
			provider.answers(test.answer)
			status, text := askAdmin(t, admin, "POST", "refresh", body)
			if status != test.want || !strings.Contains(text, test.text) {
				t.Errorf("%d %s, want %d with %q", status, text, test.want, test.text)
			}
			said := strings.Contains(test.answer, "AADSTS")
			if strings.Contains(text, "AADSTS70043: the cause •••") != said {
				t.Errorf("what the provider says is missing, or there, in %s", text)
			}
			_, text = askAdmin(t, admin, "GET", "connections?datasource="+test.datasource, "")
			if strings.Contains(text, `"last_error_description":"AADSTS70043: the cause •••`) != said {
				t.Errorf("what the provider says is missing, or there, in %s", text)
			}
			if !strings.Contains(text, `"state":"`+test.state+`"`) {
				t.Errorf("then it is %s, want %s", text, test.state)
			}
		})
	}
}

// TestAdminKeyMissing: a record of another key is reported as such, and hides no other
// connection.
func TestAdminKeyMissing(t *testing.T) {
	provider := newTokenServer(t)
	storage := t.TempDir()
	t.Run("before", func(t *testing.T) {
		t.Setenv("TEST_KEY", seal.NewKey())
		admin := startConnections(t, provider, storage)
		if status, text := askAdmin(t, admin, "POST", "refresh", `{"datasource":"robot"}`); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	})
	t.Setenv("TEST_KEY", seal.NewKey())
	admin := startConnections(t, provider, storage)
	status, text := askAdmin(t, admin, "GET", "connections", "")
	var list []*connection.Status
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != 200 || len(list) != 3 {
		t.Fatalf("%d %s %v", status, text, err)
	}
	if robot := list[2]; !robot.NeedsAction || robot.Datasource != "robot" || robot.State == connection.StateConnected || !strings.Contains(robot.LastError, "key") {
		t.Errorf("listed as %+v", robot)
	}
	// It only caches a token that can be had again.
	if status, text := askAdmin(t, admin, "POST", "refresh", `{"datasource":"robot"}`); status != 200 || !strings.Contains(text, `"state":"connected"`) {
		t.Errorf("refresh: %d %s", status, text)
	}
}
