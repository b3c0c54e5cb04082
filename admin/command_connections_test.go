// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestCommandsAsk: what the commands ask the running Caddy, and what they print of its answers.
func TestCommandsAsk(t *testing.T) {
	at := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339Nano) }
	crm := `{"datasource":"crm","connection":"a\u001b\u009b","grant":"authorization_code","state":"connected","generation":7,"connected_at":"` +
		at(-72*time.Hour) + `","expires_at":"` + at(90*time.Minute+30*time.Second) + `","refreshed_at":"` + at(-26*time.Hour-30*time.Second) + `","last_error":""}`
	robot := `{"datasource":"robot","grant":"client_credentials","state":"unknown","generation":0,"last_error":"storage_failed"}`
	const post = "POST /authenticated_api/"
	const link = "https://gateway.example.com/connect/?ticket=abc-_"
	for name, test := range map[string]struct {
		args     string
		answer   string
		request  string
		out, err []string // what is printed
		fails    string   // in the error
	}{
		"status": {
			args: "status", answer: "[" + crm + "]\n", request: "GET /authenticated_api/connections",
			out: []string{"DATASOURCE", "LAST ERROR\n", `"a\x1b\u009b"`, " connected ", " in 1h30m ", " 1d2h ago "},
		},
		"status of one": {
			args: "status a&b=c", answer: "[" + crm + "]", request: "GET /authenticated_api/connections?datasource=a%26b%3Dc", out: []string{"crm"},
		},
		"status of none": {args: "status", answer: "[]\n", request: "GET /authenticated_api/connections", err: []string{"There is no datasource with auth oauth2."}},
		"status as JSON": {
			args: "status --json", answer: "[" + crm + "]\n", request: "GET /authenticated_api/connections",
			out: []string{strings.ReplaceAll("["+crm+"]\n", "\u009b", `\u009b`)},
		},
		"status of none as JSON": {args: "status --json", answer: "[]\n", request: "GET /authenticated_api/connections", out: []string{"[]\n"}},
		"status, one unknown": {
			args: "status", answer: "[" + crm + "," + robot + "]", request: "GET /authenticated_api/connections",
			out: []string{"crm", "robot", "unknown", "storage_failed"}, fails: "not all connections could be read",
		},
		"status, no JSON": {args: "status", answer: "<html>", request: "GET /authenticated_api/connections", fails: "reading the running Caddy's answer"},
		"connect": {
			args: "connect crm", answer: `{"url":"` + link + `"}`, request: post + `connect application/json {"datasource":"crm"}`,
			out: []string{link + "\n"}, err: []string{"10 minutes", "one connection", "Whoever has it", "crm"},
		},
		"connect for a user": {
			args: "connect --connection ann crm", answer: `{"url":"` + link + `"}`,
			request: post + `connect application/json {"datasource":"crm","connection":"ann"}`,
			out:     []string{link}, err: []string{"crm, connection ann"},
		},
		"connect as JSON": {
			args: "connect crm --json", answer: `{"url":"` + link + `"}`, request: post + `connect application/json {"datasource":"crm"}`,
			out: []string{`{"url":"` + link + `"}` + "\n"},
		},
		"refresh": {
			args: "refresh crm", answer: crm, request: post + `refresh application/json {"datasource":"crm"}`,
			out: []string{"DATASOURCE", "crm", " connected "},
		},
		"refresh as JSON": {
			args: "refresh robot --json", answer: robot, request: post + `refresh application/json {"datasource":"robot"}`, out: []string{robot + "\n"},
		},
		"disconnect": {
			args: "disconnect crm", answer: `{"revoked":true}`, request: post + `disconnect application/json {"datasource":"crm"}`,
			out: []string{"crm is disconnected, and the provider has revoked the tokens"},
		},
		"disconnect without revocation": {
			args: "disconnect crm --connection ann", answer: `{"revoked":false}`,
			request: post + `disconnect application/json {"datasource":"crm","connection":"ann"}`,
			out:     []string{"crm, connection ann is disconnected here", "revocation_url"},
		},
		"disconnect, not revoked": {
			args: "disconnect crm", answer: `{"revoked":false,"warning":"it was not"}`, request: post + `disconnect application/json {"datasource":"crm"}`,
			out: []string{"crm is disconnected here."}, fails: "it was not",
		},
		"disconnect, not revoked, as JSON": {
			args: "disconnect crm --json", answer: `{"revoked":false,"warning":"it was not"}`,
			request: post + `disconnect application/json {"datasource":"crm"}`,
			out:     []string{`{"revoked":false,"warning":"it was not"}`}, fails: "it was not",
		},
		"no name":          {args: "connect", request: "no request", fails: "accepts 1 arg"},
		"two names":        {args: "status a b", request: "no request", fails: "accepts at most 1 arg"},
		"empty connection": {args: "disconnect crm --connection=", request: "no request", fails: "--connection: it is empty"},
		"bytes":            {args: "disconnect crm --connection a\xff", request: "no request", fails: "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			admin, last := fakeAdmin(t, http.StatusOK, test.answer)
			out, errOut, err := command(t, "", append(strings.Fields(test.args), "--address", admin)...)
			if got := last(); got != test.request {
				t.Errorf("asked %q, want %q", got, test.request)
			}
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("the error is %v, want %q", err, test.fails)
			}
			for _, stream := range []struct {
				name, got string
				want      []string
			}{{"output", out, test.out}, {"error output", errOut, test.err}} {
				if stream.want == nil && stream.got != "" {
					t.Errorf("the %s is %q", stream.name, stream.got)
				}
				for _, want := range stream.want {
					if !strings.Contains(stream.got, want) {
						t.Errorf("the %s is %q, without %q", stream.name, stream.got, want)
					}
				}
			}
		})
	}
}

// TestCommandsRefused: an error of the running Caddy is shown in its words, and safe for a
// terminal.
func TestCommandsRefused(t *testing.T) {
	for answer, want := range map[string]string{
		`{"error":"datasource: there is no \"x\"; there is \"crm\""}` + "\n": `: datasource: there is no "x"; there is "crm"`,
		`{"error":"a\u001b[2J"}`: `"a\x1b[2J"`,
		"404 page \x1b[2J":       `404 page \x1b[2J`,
	} {
		for _, verb := range []string{"status", "connect", "refresh", "disconnect"} {
			admin, _ := fakeAdmin(t, http.StatusNotFound, answer)
			out, _, err := command(t, "", verb, "x", "--address", admin)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") || out != "" {
				t.Errorf("%s: printed %q, and the error is %v, want %q in it", verb, out, err, want)
			}
		}
	}
	if _, _, err := command(t, "", "status", "--address", rig.Free(t)); err == nil {
		t.Error("no error without a Caddy")
	}
	if _, _, err := command(t, "", "status", ""); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty name: %v", err)
	}
}

// TestCommandsRunning runs the commands against a live Caddy.
func TestCommandsRunning(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	admin := startConnections(t, provider, t.TempDir())
	run := func(args string, fails bool, want ...string) string {
		t.Helper()
		out, errOut, err := command(t, "", append(strings.Fields(args), "--address", admin)...)
		all := fmt.Sprint(out, errOut, err)
		for _, part := range want {
			if (err != nil) != fails || !strings.Contains(all, part) || strings.Contains(all, "canary") {
				t.Errorf("%s: %v\n%s%s, want %q in it", args, err, out, errOut, part)
			}
		}
		return out
	}
	run("status", false, "crm ", "files ", "robot ", " not_connected ")
	run("status nobody", true, `"crm", "files", "robot"`)
	run("refresh crm", true, `the connection of datasource "crm" must be connected`)
	run("refresh robot", false, " connected ", " in ")
	run("disconnect robot", true, "client_credentials")
	run("connect files", true, "--connection")
	run("connect crm --connection ann", true, "leave it out")
	if link := run("connect files --connection ann", false, "Whoever has it"); !strings.HasPrefix(link, "https://gateway.example.com/connect/?") ||
		strings.Count(link, "\n") != 1 {
		t.Errorf("the link is %q", link)
	}
	connect(t, "files", "ann\x1b[2J")
	out := run("status files", false, `"ann\x1b[2J"`, " connected ")
	if strings.Contains(out, "\x1b") {
		t.Errorf("a name reaches the terminal: %q", out)
	}
	connect(t, "crm", "")
	run("refresh crm", false, " connected ")
	var list []map[string]any
	if err := json.Unmarshal([]byte(run("status crm --json", false)), &list); err != nil || len(list) != 1 || list[0]["datasource"] != "crm" {
		t.Errorf("%v, %v", list, err)
	}
	provider.answers(rig.Response("500 Internal Server Error", "", adminToken))
	run("disconnect crm", true, "crm is disconnected here.", "could not be told")
	run("status crm", false, " not_connected ")
}
