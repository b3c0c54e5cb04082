// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// logged loads a site, and returns the lines of its log at WARN and above.
func logged(t *testing.T, global, site string) []map[string]any {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel WARN\n}\n"+global+"\n}\nhttp://GATEWAY {\n"+site+"\n}")
	return logLines(t, log)
}

func logLines(t *testing.T, log string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(read(t, log)) {
		var parsed map[string]any
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, parsed)
	}
	return lines
}

// TestLiteralSecrets: a secret that stands in the configuration itself is told of once, by the name of its option.
func TestLiteralSecrets(t *testing.T) {
	t.Setenv("TEST_TOKEN", "canary-from-outside")
	const oauth2 = "auth oauth2 client_credentials {\ntoken_url https://login.example.com/token\nclient_id gateway\nclient_secret "
	for name, tt := range map[string]struct {
		global, site string
		want         string // the options, in order
	}{
		"bearer":           {site: "authenticated_api https://a.example {\nauth bearer canary\n}", want: "auth bearer: token"},
		"basic":            {site: "authenticated_api https://a.example {\nauth basic ann canary\n}", want: "auth basic: password"},
		"api_key":          {site: "authenticated_api https://a.example {\nauth api_key X-Key canary\n}", want: "auth api_key: value"},
		"client_secret":    {site: "authenticated_api https://a.example {\n" + oauth2 + "canary\n}\n}", want: "auth oauth2: client_secret"},
		"token_param":      {site: "authenticated_api https://a.example {\n" + oauth2 + "{env.TEST_TOKEN}\ntoken_param password canary\n}\n}", want: "auth oauth2: token_param password"},
		"signature":        {site: "authenticated_api https://a.example {\nsignature canary-canary-canary-canary-canary\n}", want: "signature: secret"},
		"header":           {site: "authenticated_api https://a.example {\nheader Authorization \"Token canary\"\n}", want: "header Authorization"},
		"headers":          {site: "authenticated_api https://a.example {\nheader X-Api-Key canary\nheader X-Tenant acme\nheader ?X-Auth-Token canary\n}", want: "header X-Api-Key, header X-Auth-Token"},
		"query":            {site: "authenticated_api https://a.example {\nquery api_key canary\nquery page 2\n}", want: "query api_key"},
		"key":              {global: "authenticated_api {\nkey AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n}", site: "authenticated_api https://a.example {\nauth none\n}", want: "key"},
		"two routes":       {site: "handle /a {\nauthenticated_api https://a.example {\nauth bearer canary\n}\n}\nhandle /b {\nauthenticated_api https://a.example {\nauth bearer canary\n}\n}", want: "auth bearer: token"},
		"variable":         {site: "authenticated_api https://a.example {\nauth bearer {env.TEST_TOKEN}\nheader X-Api-Key {env.TEST_TOKEN}\n}"},
		"request":          {site: "authenticated_api https://a.example {\nheader X-User-Token {http.auth.user.id}\nheader X-Tenant acme\n}"},
		"nothing is there": {site: "authenticated_api https://a.example"},
	} {
		t.Run(name, func(t *testing.T) {
			var options []string
			for _, line := range logged(t, tt.global, tt.site) {
				text, _ := json.Marshal(line)
				if strings.Contains(string(text), "canary") {
					t.Errorf("the log shows the secret: %s", text)
				}
				if strings.HasPrefix(line["msg"].(string), "a secret stands in the configuration") {
					options = append(options, line["option"].(string))
				}
			}
			if got := strings.Join(options, ", "); got != tt.want {
				t.Errorf("told of %q, want %q", got, tt.want)
			}
		})
	}
}

// TestStandIns: what a variable, a file or JSON brings is no secret either if it is what a person should have replaced.
func TestStandIns(t *testing.T) {
	for _, tt := range []struct{ env, option, want string }{
		{"Bearer canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"token canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"Authorization: Bearer canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"<token>", "auth bearer {env.TEST_SECRET}", "example"},
		{"${CANARY}", "auth bearer {env.TEST_SECRET}", "another program"},
		{"your-password", "auth basic ann {env.TEST_SECRET}", "example"},
		{"X-Key: canary", "auth api_key X-Key {env.TEST_SECRET}", "name of the key"},
		{"Token canary", "auth api_key Authorization {env.TEST_SECRET} {\nprefix Token\n}", "prefix"},
		{"YOUR_CLIENT_SECRET", "auth oauth2 client_credentials {\ntoken_url https://login.example.com/token\nclient_id gateway\nclient_secret {env.TEST_SECRET}\n}", "example"},
	} {
		t.Setenv("TEST_SECRET", tt.env)
		err := rig.Load("http://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\n" + tt.option + "\n}\n}")
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s with %s: %v", tt.option, tt.env, err)
		}
		if err == nil {
			_ = caddy.Stop()
		}
	}
}
