// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"authenticated_api_console": `{}`,
		"authenticated_api_console {\nuser {http.vars.user}\noperators ann bob\noperators eve\n}": `{"user":"{http.vars.user}","operators":["ann","bob","eve"]}`,

		"authenticated_api_console x":                                         "authenticated_api_console: takes no argument but a matcher",
		"authenticated_api_console {\nuser\n}":                                "user: takes one placeholder",
		"authenticated_api_console {\nuser \"\"\n}":                           "user: takes one placeholder",
		"authenticated_api_console {\nuser ann\n}":                            "user: takes one placeholder",
		"authenticated_api_console {\nuser {a} {b}\n}":                        "user: takes one placeholder",
		"authenticated_api_console {\nuser {a.b}\nuser {a.b}\n}":              "user: given twice",
		"authenticated_api_console {\noperators\n}":                           "operators: takes one user or more",
		"authenticated_api_console {\noperators ann \"\"\n}":                  "operators: an empty user is nobody",
		"authenticated_api_console {\noperator ann\n}":                        `unrecognized option "operator"`,
		"authenticated_api_console {\nusers {http.auth.user.id}\nuser {a}\n}": `unrecognized option "users"`,
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			continue
		}
		if got, _ := json.Marshal(h); string(got) != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestOrder checks that authentication runs before the console, and that a proxy after it does not
// get the console's requests.
func TestOrder(t *testing.T) {
	config, err := rig.Adapt(":1 {\nreverse_proxy localhost:2\nauthenticated_api_console /connect/* {\noperators ann\n}\nbasic_auth {\nann " +
		"$2a$10$SI7bp/WxnML15vrnGTp9fuqLzMdsFjy5NTmkpEs318ry5HrymLoA2\n}\n}")
	if err != nil {
		t.Fatal(err)
	}
	text := string(config)
	auth, console, proxy := strings.Index(text, `"authentication"`), strings.Index(text, `"authenticated_api_console"`), strings.Index(text, `"reverse_proxy"`)
	if auth < 0 || console < auth || proxy < console {
		t.Errorf("the handlers stand at %d, %d and %d: %s", auth, console, proxy, text)
	}
	if !strings.Contains(text, `"operators":["ann"]`) || !strings.Contains(text, `"path":["/connect/*"]`) {
		t.Errorf("the options are lost: %s", text)
	}
}
