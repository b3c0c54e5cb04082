// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// needed is what each configuration needs.
const needed = "token_url https://p.example/token\nclient_id i\nclient_secret {env.SECRET}\n"

// TestCaddyfile: every option, as the JSON that it becomes; and that JSON is the same when it is
// read and written again.
func TestCaddyfile(t *testing.T) {
	const rest = `"client_id":"i","client_secret":"{env.SECRET}"`
	for block, want := range map[string]string{
		"":                                    ``,
		"insecure_http":                       `"insecure_http":true`,
		"client_auth client_secret_basic":     `"client_auth":"client_secret_basic"`,
		"client_auth client_secret_basic_raw": `"client_auth":"client_secret_basic_raw"`,
		"client_auth client_secret_post":      `"client_auth":"client_secret_post"`,
		"token_request form":                  `"token_request":"form"`,
		"token_request json":                  `"token_request":"json"`,
		"scopes a":                            `"scopes":["a"]`,
		"scopes a b,c \"d, e\"":               `"scopes":["a","b","c","d","e"]`,
		"scopes a b\nscopes b c":              `"scopes":["a","b","c"]`,
		"scopes https://graph.microsoft.com/.default": `"scopes":["https://graph.microsoft.com/.default"]`,
		"scopes {env.SCOPES}":                         `"scopes":["{env.SCOPES}"]`,
		"audience https://a/":                         `"audience":"https://a/"`,
		"resource r":                                  `"resource":["r"]`,
		"resource r s\nresource t":                    `"resource":["r","s","t"]`,
		"token_param k v":                             `"token_param":{"k":"v"}`,
		"token_param k v\ntoken_param l \"\"":         `"token_param":{"k":"v","l":""}`,
		"expires_in 3600":                             `"expires_in":3600000000000`,
		"expires_in 1h":                               `"expires_in":3600000000000`,
		"expires_in 2d":                               `"expires_in":172800000000000`,
		"timeout 5":                                   `"timeout":5000000000`,
		"timeout 500ms":                               `"timeout":500000000`,
		"add_token_to header":                         `"add_token_to":{"header":"Authorization"}`,
		"add_token_to header X-Token":                 `"add_token_to":{"header":"X-Token"}`,
		"add_token_to query":                          `"add_token_to":{"query":"access_token"}`,
		"add_token_to query k":                        `"add_token_to":{"query":"k"}`,
		"header_prefix Token":                         `"header_prefix":"Token"`,
		`header_prefix ""`:                            `"header_prefix":""`,
		`header_prefix "Token token="`:                `"header_prefix":"Token token="`,
		"token_field access_token":                    `"token_field":"access_token"`,
		"token_field id_token":                        `"token_field":"id_token"`,
		"self_signed_cert /a.pem":                     `"self_signed_cert":"/a.pem"`,
	} {
		m := parse(t, needed+block)
		got, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"grant":"client_credentials"`, `"token_url":"https://p.example/token"`, rest, want} {
			if !strings.Contains(string(got), part) {
				t.Errorf("%q becomes %s, without %s", block, got, part)
			}
		}
		var again Method
		if err := json.Unmarshal(got, &again); err != nil {
			t.Fatal(err)
		}
		if err := again.Validate(); err != nil {
			t.Errorf("%s: %v", got, err)
		}
		if second, err := json.Marshal(&again); err != nil || string(second) != string(got) {
			t.Errorf("%s becomes %s, %v", got, second, err)
		}
	}
	// And nothing else: an option that is not given is not there.
	if got, err := json.Marshal(parse(t, needed)); err != nil || string(got) != `{"grant":"client_credentials","token_url":"https://p.example/token",`+
		`"client_id":"i","client_secret":"{env.SECRET}"}` {
		t.Errorf("the least is %s, %v", got, err)
	}
	if m := parse(t, "token_url https://p.example/token\nclient_id i\nclient_auth none"); m.ClientSecret != "" || m.ClientAuth != provider.ClientAuthNone {
		t.Errorf("client_auth none: %+v", m)
	}
}

// TestCaddyfileErrors: each names the option and what to do, and none shows the secret.
func TestCaddyfileErrors(t *testing.T) {
	block := func(rest string) string {
		return "oauth2 client_credentials {\n token_url https://p.example/token\n client_id i\n client_secret " + oauthtest.ClientSecret + "\n" + rest + "\n}"
	}
	for input, hints := range map[string][]string{
		"oauth2":                         {"auth oauth2", "takes a grant"},
		"oauth2 client_credentials x":    {"auth oauth2", "takes a grant"},
		"oauth2 device {\n}":             {"grant", "a word of 6", "client_credentials"},
		"oauth2 client_credentials":      {"token_url", "missing"},
		"oauth2 client_credentials {\n}": {"token_url", "missing"},
		"oauth2 client_credentials {\n token_url https://p/\n}":               {"client_id", "missing"},
		"oauth2 client_credentials {\n token_url https://p/\n client_id i\n}": {"client_secret", "missing", "{env.NAME}", "client_auth none"},
		block("client_auth none"):                                             {"client_secret", "client_auth none", "remove one"},
		block("client_auth basic"):                                            {"client_auth", "client_secret_basic_raw"},
		block("client_auth"):                                                  {"client_auth", "takes one value"},
		block("token_request xml"):                                            {"token_request", "form, json"},
		block("token_field refresh_token"):                                    {"token_field", "access_token, id_token"},
		block("token_field a b"):                                              {"token_field", "takes one value"},
		block("token_url https://q/"):                                         {"token_url", "given twice"},
		block("client_id j"):                                                  {"client_id", "given twice"},
		block("client_secret " + oauthtest.ClientSecret):                      {"client_secret", "given twice"},
		block("timeout 5s\ntimeout 6s"):                                       {"timeout", "given twice"},
		block("header_prefix a\nheader_prefix b"):                             {"header_prefix", "given twice"},
		block("add_token_to header\nadd_token_to query"):                      {"add_token_to", "given twice"},
		block("insecure_http on"):                                             {"insecure_http", "takes no value"},
		block("scopes"):                                                       {"scopes", "one scope or more"},
		block(`scopes ""`):                                                    {"scopes", "one scope or more"},
		block("scopes ,"):                                                     {"scopes", "one scope or more"},
		block("scopes `a\"b`"):                                                {"scopes", "no scope"},
		block(`audience ""`):                                                  {"audience", "takes one value"},
		block("audience a b"):                                                 {"audience", "takes one value"},
		block("resource"):                                                     {"resource", "one URI or more"},
		block(`resource ""`):                                                  {"resource", "empty"},
		block("token_param k"):                                                {"token_param", "a name and a value"},
		block("token_param k " + oauthtest.ClientSecret + " x"):               {"token_param", "a name and a value"},
		block("token_param client_secret " + oauthtest.ClientSecret):          {"token_param", `"client_secret"`},
		block(`token_param "" x`):                                             {"token_param", "option of its own"},
		block("expires_in soon"):                                              {"expires_in", "a number of seconds", "no duration"},
		block("expires_in 0"):                                                 {"expires_in", "not above zero"},
		block("expires_in -5"):                                                {"expires_in", "not above zero"},
		block("expires_in 3651d"):                                             {"expires_in", "ten years"},
		block("expires_in"):                                                   {"expires_in", "takes one duration"},
		block("timeout 0"):                                                    {"timeout", "not above zero"},
		block("timeout x"):                                                    {"timeout", "no duration"},
		block("add_token_to"):                                                 {"add_token_to", "header [<field>] or query [<key>]"},
		block("add_token_to body"):                                            {"add_token_to", `"body"`, "header, query"},
		block("add_token_to header a b"):                                      {"add_token_to", "header [<field>]"},
		block(`add_token_to header ""`):                                       {"add_token_to", "header [<field>]"},
		block(`add_token_to header "a b"`):                                    {"add_token_to", "RFC 9110 §5.1"},
		block("add_token_to header Connection"):                               {"add_token_to", "RFC 9110 §7.6.1"},
		block("add_token_to header Host"):                                     {"add_token_to", "Host"},
		block("add_token_to query {env.K}"):                                   {"add_token_to", "no placeholder"},
		block("add_token_to query\nheader_prefix x"):                          {"header_prefix", "in a header only"},
		block("header_prefix"):                                                {"header_prefix", "takes one prefix", `""`},
		block("header_prefix a b"):                                            {"header_prefix", "takes one prefix"},
		block(`header_prefix "Bearer "`):                                      {"header_prefix", "blank at an end"},
		block("header_prefix \"a\nb\""):                                       {"header_prefix", "control character"},
		block("self_signed_cert"):                                             {"self_signed_cert", "takes one value"},
		block("scope a"):                                                      {`unrecognized option "scope"`, "scopes"},
		block("authorization_url https://a/"):                                 {"authorization_url", "authorization_code"},

		"oauth2 client_credentials {\n token_url https://p/\n client_id {{id}}\n client_secret {env.SECRET}\n}": {"client_id", "{{…}}"},
	} {
		err := new(Method).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		if err == nil {
			t.Errorf("%q passes", input)
			continue
		}
		for _, hint := range append(hints, "auth oauth2") {
			if !strings.Contains(err.Error(), hint) {
				t.Errorf("%q: %q does not say %q", input, err, hint)
			}
		}
		if oauthtest.Leaks(err.Error()) != nil {
			t.Errorf("%q: %q shows the secret", input, err)
		}
	}
}

// TestValidate: what only JSON can say.
func TestValidate(t *testing.T) {
	for text, hint := range map[string]string{
		`{"grant":""}`:        "grant is missing",
		`{"expires_in":-1}`:   "expires_in",
		`{"timeout":-1}`:      "timeout",
		`{"scopes":["a b"]}`:  "scopes",
		`{"scopes":[""]}`:     "scopes",
		`{"resource":[""]}`:   "resource",
		`{"add_token_to":{}}`: "add_token_to",
		`{"add_token_to":{"header":"A","query":"b"}}`: "add_token_to",
		`{"token_param":{"refresh_token":"x"}}`:       "token_param",
		`{"header_prefix":"a\u0000"}`:                 "header_prefix",
		`{"client_auth":"private_key_jwt"}`:           "client_auth",
		`{"token_request":"JSON"}`:                    "token_request",
	} {
		m := parse(t, needed)
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestValidateCode: what is wrong, or right, of the grant authorization_code.
func TestValidateCode(t *testing.T) {
	for block, hint := range map[string]string{
		"":                               "",
		"client_auth client_secret_post": "",
		"refresh_client_auth none":       "",
		"client_auth none":               "client_secret is of no use",
		"client_auth none\nrefresh_client_auth none":               "client_secret is of no use",
		"client_auth none\nrefresh_client_auth client_secret_post": "",
		"authorization_param response_mode form_post":              "response_mode",
		"authorization_param response_mode query":                  "",
		"authorization_param state x":                              "state",
		"authorization_param code_challenge x":                     "code_challenge",
	} {
		err := new(Method).UnmarshalCaddyfile(codeBlock(block))
		if hint == "" && err != nil || hint != "" && (err == nil || !strings.Contains(err.Error(), hint)) {
			t.Errorf("%q: %v", block, err)
		}
	}
}

// TestOptionsKnown: errors of other blocks know where each option stands, and the grant of each.
func TestOptionsKnown(t *testing.T) {
	for _, o := range options {
		if !strings.Contains(option.Elsewhere(o.name), "auth oauth2 { … }") {
			t.Errorf("internal/option does not know %s", o.name)
		}
		if (o.text == nil) == (o.parse == nil) {
			t.Errorf("%s is read in no way, or in two", o.name)
		}
		if o.text == nil && (o.code || o.grants != nil) != (o.given != nil) {
			t.Errorf("%s: whether it is given is not known", o.name)
		}
	}
}
