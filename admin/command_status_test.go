// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

// caddyCommand runs `caddy authenticated-api` as people do, in a process of its own.
func caddyCommand(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"authenticated-api"}, args...)...) //nolint:gosec // G204: this binary
	cmd.Env = append(os.Environ(), rig.AsCaddy+"=1")
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// TestStatusCheck: the exit status says whether a human being is needed, and standard error says
// for what.
func TestStatusCheck(t *testing.T) {
	status := func(fields string) string { return `{"datasource":"crm","grant":"authorization_code",` + fields + "}" }
	for name, test := range map[string]struct {
		answer string
		exit   int
		says   string
	}{
		"connected":          {status(`"state":"connected","stored":true,"needs_action":false`), 0, ""},
		"renewal fails":      {status(`"state":"connected","last_error":"status_503"`), 0, ""},
		"renewal refused":    {status(`"state":"connected","last_error":"invalid_client","needs_action":true`), 2, "crm: the provider refuses to renew the token"},
		"not stored":         {status(`"state":"connected","stored":false,"last_error":"storage_failed"`), 2, "crm: the token is in memory only"},
		"failing":            {status(`"state":"failing","last_error":"status_503"`), 2, "crm: there is no token, and requests are refused"},
		"nobody's":           {status(`"state":"not_connected","needs_action":true`), 2, "crm: connect an account: caddy authenticated-api connect crm\n"},
		"of no user":         {status(`"state":"not_connected","per_user":true`), 0, ""},
		"again":              {status(`"state":"reauthorization_required","needs_action":true`), 2, "crm: the account must be connected again: caddy"},
		"again, by the user": {status(`"connection":"a\u001b[2J","state":"reauthorization_required","needs_action":true`), 2, `"crm, connection a\x1b[2J": the account`},
		"refused":            {status(`"state":"connected","last_refusal":{"status":401,"remedy":"compare scopes","standing":true}`), 2, "crm: the API refuses the credential; compare scopes"},
		"refused before":     {status(`"state":"connected","last_refusal":{"status":401,"remedy":"compare scopes"}`), 0, ""},
		"refused a user":     {status(`"state":"connected","per_user":true,"last_refusal":{"status":401,"standing":true}`), 0, ""},
		"refused, and worse": {status(`"state":"connected","last_error":"invalid_client","needs_action":true,"last_refusal":{"status":401,"standing":true}`), 2, "crm: the provider refuses to renew"},
		"unknown":            {status(`"state":"unknown","last_error":"storage_failed"`), 2, "crm: what is stored cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			admin, _ := fakeAdmin(t, http.StatusOK, "["+test.answer+"]")
			for _, more := range []string{"--check", "--check --json"} {
				exit, out, errOut := caddyCommand(t, strings.Fields("status --address "+admin+" "+more)...)
				if exit != test.exit || !strings.Contains(out, "crm") || !strings.Contains(errOut, test.says) || test.says == "" && errOut != "" ||
					strings.Contains(errOut, "Error") || strings.Contains(errOut, "Usage") {
					t.Errorf("%s: exit status %d, want %d, and it says %q%q, want %q", more, exit, test.exit, out, errOut, test.says)
				}
			}
		})
	}
	if exit, _, errOut := caddyCommand(t, "status", "--check", "--address", rig.Free(t)); exit != 1 || !strings.Contains(errOut, "asking the running Caddy") {
		t.Errorf("without a Caddy: exit status %d, %q", exit, errOut)
	}
}

// TestStatusEvery: every OAuth datasource is listed, whatever becomes of it.
func TestStatusEvery(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	admin := startConnections(t, provider, t.TempDir())
	check := func(exit int, want ...string) {
		t.Helper()
		got, out, errOut := caddyCommand(t, "status", "--check", "--address", admin)
		for _, part := range want {
			if got != exit || !strings.Contains(fieldsOf(out+errOut), part) || strings.Contains(out+errOut, "canary") {
				t.Errorf("exit status %d, want %d, and\n%s%swant %q", got, exit, out, errOut, part)
			}
		}
	}
	check(2, "crm - authorization_code not_connected", "files - authorization_code not_connected", "robot - client_credentials not_connected")
	connect(t, "crm", "")
	check(0, "crm - authorization_code connected in", "files - authorization_code not_connected", "robot - client_credentials not_connected")
	provider.answers(rig.Response("401 Unauthorized", "Content-Type: application/json\r\n",
		`{"error":"invalid_client","error_description":"the secret `+adminSecret+` has ended"}`))
	if status, text := askAdmin(t, admin, "POST", "refresh", `{"datasource":"robot"}`); status != http.StatusBadGateway {
		t.Fatalf("%d %s", status, text)
	}
	check(2, "robot - client_credentials failing - - - ", "invalid_client: the secret ••• has ended",
		"robot: there is no token, and requests are refused; check client_id and client_secret")
	if status, text := askAdmin(t, admin, "GET", "connections?datasource=robot", ""); status != http.StatusOK ||
		!strings.Contains(text, `"state":"failing"`) || !strings.Contains(text, `"last_error_since":"`) ||
		!strings.Contains(text, `"next_attempt_at":"`) || !strings.Contains(text, `"needs_action":true`) {
		t.Errorf("%d %s", status, text)
	}
}

// fieldsOf leaves out how wide the columns of a table are.
func fieldsOf(text string) string { return strings.Join(strings.Fields(text), " ") }
