// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// secretBlocks are directives as people write them.
var secretBlocks = []string{
	"authenticated_api https://api.example.com/v2 {\n\tname crm\n\tauth bearer {env.API_TOKEN}\n}",
	"authenticated_api https://api.example.com {\n\tauth basic ann {env.PASSWORD}\n\theader X-Tenant acme\n\tquery page 1\n}",
	"authenticated_api https://api.example.com {\n\tauth api_key X-Api-Key {env.API_KEY} {\n\t\tin header\n\t\tprefix Key\n\t}\n\theader -X-Old\n\theader +X-Other b\n}",
	"authenticated_api https://api.example.com {\n\tauth api_key key {file./run/secrets/key} {\n\t\tin query\n\t}\n\tpass_request_header Cookie\n" +
		"\tpass_response_header Set-Cookie\n\tallow_origin https://app.example.com\n\tmap_links off\n\terrors caddy\n\treplay 64KiB\n\trefresh_on 401 403\n}",
	"authenticated_api https://api.example.com {\n\tsignature {env.SIGNATURE_SECRET} {\n\t\theader X-Signature\n\t\talgorithm HS256\n\t\tkey_id k1\n\t\tissuer us\n" +
		"\t\taudience them\n\t\tlifetime 10m\n\t\tclaim sub {http.auth.user.id}\n\t}\n}",
	"authenticated_api https://api.example.com {\n\tauth oauth2 client_credentials {\n\t\ttoken_url https://login.example.com/token\n\t\tclient_id gateway\n" +
		"\t\tclient_secret {env.CLIENT_SECRET}\n\t\tclient_auth client_secret_post\n\t\ttoken_request form\n\t\tscopes read write\n\t\ttoken_param audience_x them\n" +
		"\t\texpires_in 10m\n\t\tadd_token_to header X-Token\n\t\theader_prefix Token\n\t\ttoken_field access_token\n\t\ttimeout 5s\n\t}\n}",
	"authenticated_api https://api.example.com {\n\tauth oauth2 authorization_code {\n\t\ttoken_url https://login.example.com/token\n" +
		"\t\tauthorization_url https://login.example.com/authorize\n\t\tredirect_url https://gw.example.com/connect/callback\n\t\tclient_id gateway\n" +
		"\t\tclient_secret {env.CLIENT_SECRET}\n\t\tauthorization_param prompt consent\n\t\tpkce off\n\t\tconnection {http.auth.user.id}\n\t}\n}",
	"authenticated_api https://api.example.com {\n\tauth bearer {env.API_TOKEN}\n\tto https://api2.example.com\n\tlb_policy header X-Node\n\tlb_retries 2\n" +
		"\theader_up X-A b\n\thealth_uri /health\n\thealth_interval 10s\n\thealth_port 8080\n\ttransport http {\n\t\tdial_timeout 5s\n\t\tversions 1.1 2\n\t\ttls_trust_pool system\n\t}\n}",
	"authenticated_api https://api.example.com {\n\tauth jwt {env.TOKEN_SECRET} {\n\t\tsecret_encoding text\n\t\talgorithm HS256\n\t\tkey_id k1\n\t\tissuer us\n\t\taudience them\n" +
		"\t\tlifetime 10m\n\t\tclaim sub ann\n\t\tadd_token_to header X-Token\n\t\theader_prefix Token\n\t}\n\tauth api_key {env.API_KEY} {\n\t\tin cookie sid\n\t}\n" +
		"\tauth api_key bot {env.API_KEY} {\n\t\tin path\n\t}\n}",
	"authenticated_api https://api.example.com {\n\tauth login https://api.example.com/login {\n\t\tjson {\n\t\t\tpassword {env.PASSWORD}\n\t\t}\n\t\tbasic ann {env.PASSWORD}\n" +
		"\t\theader X-App gateway\n\t\ttoken json:sid\n\t\texpires_in 10m\n\t\talso X-CSRF header:X-CSRF\n\t\tadd_token_to header X-SID\n\t\ttimeout 5s\n\t}\n" +
		"\trefresh_on 401 302:/login*\n}",
	"authenticated_api https://api.example.com {\n\tauth none\n\tself_signed_cert /etc/ssl/api.pem\n}",
	"authenticated_api {\n\tname crm\n\tauth bearer {env.API_TOKEN}\n}\nreverse_proxy https://api.example.com {\n\ttransport authenticated_api {\n\t\tdatasource crm\n\t\treplay off\n\t\trefresh_on 401\n\t}\n}",
	"authenticated_api_console {\n\tuser {http.auth.user.id}\n\toperators ann\n}",
}

// secretGlobals are global options as people write them.
var secretGlobals = []string{
	"authenticated_api {\n\tkey {env.KEY}\n\tstorage file_system {\n\t\troot ./nowhere\n\t}\n\tcache_size 1000\n\tsweep_after 90d\n\tkeep_alive 24h\n\tdeny_private\n\tallow_dial 169.254.1.2 10.0.0.0/8\n}",
}

// secrets are shaped as those of providers are. None is one.
var secrets = []string{
	"sk_live_CANARY51HxQ2eZvKYlo2C", "canary.eyJhbGciOiJIUzI1NiJ9.c2Vjcm9uZQ", "c4n4ry7f3a9b2e4d5c6b7a8f90123456", "/cAnaRy+dGhpcyBpcyBh/IGtleQ==",
	"CANARYIOSFODNN7EXAMPLEKEY", "canary-horse-battery-staple", "ghp_CANARYa1B2c3D4e5F6g7H8", "\"can ary with blanks 1 2 3\"", "https://u:canaryPa55@api.example.com/x",
	"canary{hunter2}canary", "https://hooks.example.com/T000/canaryXXXXXXXX",
}

// marks are the parts of those secrets that nobody may see.
var marks = []string{"CANARY", "canary", "c4n4ry", "cAnaRy", "can ary"}

// TestErrorsShowNoSecret puts a secret in the place of, in front of, behind, and inside each word
// of those directives, and on a line of its own before each line: what Caddy says then, at any
// level of its log, does not have it.
func TestErrorsShowNoSecret(t *testing.T) {
	for i, block := range secretBlocks {
		t.Run(fmt.Sprintf("directive %d", i), func(t *testing.T) {
			tryMistakes(t, block, func(slip string) string { return ":80 {\n" + slip + "\n}" }, "")
		})
	}
	for i, block := range secretGlobals {
		t.Run(fmt.Sprintf("global option %d", i), func(t *testing.T) {
			tryMistakes(t, block, func(string) string { return ":80 {\nauthenticated_api https://api.example.com {\nauth none\n}\n}" }, "global")
		})
	}
}

// TestJSONErrorsShowNoSecret does the same with the values of a configuration in JSON.
func TestJSONErrorsShowNoSecret(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for i, block := range secretBlocks {
		config, err := rig.Adapt("{\nadmin off\nlog {\noutput file " + log + "\nlevel DEBUG\n}\n}\n:80 {\n" + block + "\n}")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 400 {
			var parsed map[string]any
			if err := json.Unmarshal(config, &parsed); err != nil {
				t.Fatal(err)
			}
			left, secret := n, strings.Trim(secrets[n%len(secrets)], `"`)
			where := replaceValue(parsed["apps"], false, secret, &left)
			if where == "" {
				break
			}
			changed, err := json.Marshal(parsed)
			if err != nil {
				t.Fatal(err)
			}
			wantNoMark(t, fmt.Sprintf("directive %d, %s: %s", i, where, secret), load(t, changed), log)
		}
	}
}

// replaceValue puts a secret in the place of the string of that number that belongs to a module
// of ours, and returns its key.
func replaceValue(v any, ours bool, secret string, left *int) (where string) {
	switch v := v.(type) {
	case map[string]any:
		for _, kind := range []string{"handler", "protocol"} {
			if name, _ := v[kind].(string); strings.HasPrefix(name, "authenticated_api") {
				ours = true
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, ok := v[key].(string)
			if ok && ours && key != "handler" && key != "protocol" && key != "name" && key != "datasource" {
				if *left--; *left < 0 {
					v[key] = secret
					return key + " in the place of " + text
				}
			}
			if where = replaceValue(v[key], ours, secret, left); where != "" {
				return where
			}
		}
	case []any:
		for i := range v {
			if _, ok := v[i].(string); ok && ours {
				if *left--; *left < 0 {
					v[i] = secret
					return "an element"
				}
			}
			if where = replaceValue(v[i], ours, secret, left); where != "" {
				return where
			}
		}
	}
	return ""
}

// load validates a configuration.
func load(t *testing.T, config []byte) error {
	t.Helper()
	var parsed *caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(parsed)
}

// wantNoMark fails the test if an error, or the log, has a mark of a secret.
func wantNoMark(t *testing.T, what string, err error, log string) {
	t.Helper()
	said, _ := os.ReadFile(log)
	_ = os.Truncate(log, 0)
	text := string(said)
	if err != nil {
		text += err.Error()
	}
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(line, mark) }) {
			t.Errorf("%s\nis said to be\n%s", what, line)
		}
	}
}

func tryMistakes(t *testing.T, block string, site func(slip string) string, where string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	tried := 0
	for n, slip := range mistakes(block) {
		secret := secrets[n%len(secrets)]
		if n%7 == 0 && !testing.Short() {
			for _, other := range secrets {
				tried += tryMistake(t, strings.ReplaceAll(slip, "SECRET", other), site, where, log)
			}
			continue
		}
		tried += tryMistake(t, strings.ReplaceAll(slip, "SECRET", secret), site, where, log)
	}
	if tried == 0 {
		t.Error("no mistake was an error")
	}
}

// tryMistake returns 1 if what is said is an error.
func tryMistake(t *testing.T, slip string, site func(slip string) string, where, log string) int {
	t.Helper()
	global := ""
	if where == "global" {
		global = slip
	}
	config, err := rig.Adapt("{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file " + log + "\nlevel DEBUG\n}\n" + global + "\n}\n" + site(slip))
	if err == nil {
		err = load(t, config)
	}
	wantNoMark(t, slip, err, log)
	if err != nil {
		return 1
	}
	return 0
}

// mistakes returns the block with SECRET in every wrong place. The directive's own name and
// braces stay: what stands outside of them is Caddy's to read. So does `name`: the logs have it
// on purpose.
func mistakes(block string) []string {
	lines := strings.Split(block, "\n")
	var all []string
	add := func(i int, line ...string) {
		changed := append(append(append([]string{}, lines[:i]...), line...), lines[i+1:]...)
		all = append(all, strings.Join(changed, "\n"))
	}
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "}") || strings.HasPrefix(line, "reverse_proxy") || strings.HasPrefix(line, "\ttransport authenticated_api") || words[0] == "name" || words[0] == "datasource" {
			continue
		}
		if i > 0 {
			add(i, "SECRET", line)
			add(i, "{env.SECRET}", line)
		}
		for w, word := range words {
			if word == "{" || word == "}" || i == 0 && w == 0 {
				continue
			}
			put := func(text ...string) {
				add(i, strings.Join(append(append(append([]string{}, words[:w]...), text...), words[w+1:]...), " "))
			}
			put("SECRET")
			put(word, "SECRET")
			put("SECRET", word)
			put("{env.SECRET}")
			put("{file.SECRET}")
			put("{file./SECRET}")
			put("{http.SECRET}")
			put("{SECRET.x}")
			put("-SECRET")
			put("+SECRET")
			if w+1 < len(words) && words[w+1] != "{" { // the wrong way round
				add(i, strings.Join(append(append(append([]string{}, words[:w]...), "SECRET", word), words[min(w+2, len(words)):]...), " "))
			}
		}
	}
	return all
}
