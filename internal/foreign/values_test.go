// SPDX-License-Identifier: Apache-2.0

package foreign_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/foreign"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// templates are files in which each VALUE stands for any text.
var templates = map[string][]string{
	"appsmith": {
		`{"datasourceList": [{"name": VALUE, "pluginId": "restapi-plugin", "datasourceConfiguration": {"url": VALUE, "headers": [{"key": VALUE, "value": VALUE},
			{"key": "Accept", "value": VALUE}], "queryParameters": [{"key": VALUE, "value": VALUE}, {"key": "page", "value": VALUE}],
			"properties": [{"key": "isSendSessionEnabled", "value": "Y"}], "authentication": {"authenticationType": "apiKey", "label": VALUE, "headerPrefix": VALUE}}}]}`,
		`{"datasourceList": [{"pluginId": VALUE}, {"datasourceConfiguration": {"url": "https://api.example.com", "authentication": {"authenticationType": "apiKey",
			"label": VALUE, "addTo": "queryParams"}, "queryParameters": [{"key": VALUE, "value": VALUE}]}}]}`,
		`{"datasourceList": [{"name": "a", "datasourceConfiguration": {"url": "https://api.example.com", "authentication": {"authenticationType": "oAuth2",
			"grantType": "authorization_code", "accessTokenUrl": VALUE, "authorizationUrl": VALUE, "clientId": VALUE, "scopeString": VALUE, "scope": [VALUE],
			"audience": VALUE, "resource": VALUE, "headerPrefix": VALUE, "expiresIn": VALUE, "customAuthenticationParameters": [{"key": VALUE, "value": VALUE},
			{"key": "a", "value": VALUE}], "customTokenParameters": [{"key": VALUE, "value": VALUE}]}}}]}`,
	},
	"postman": {
		`{"info": {"name": VALUE}, "variable": [{"key": "v", "value": VALUE}], "item": [{"request": {"url": "{{v}}/a"}}, {"request": {"url": VALUE, "header":
			[{"key": VALUE, "value": VALUE}], "auth": {"type": VALUE}}}, {"request": {"url": {"raw": "https://a.example.com/", "query": [{"key": VALUE,
			"value": VALUE}, {"key": "key", "value": VALUE}]}, "auth": {"type": "apikey", "apikey": [{"key": "key", "value": VALUE}, {"key": "in", "value": VALUE}]}}}]}`,
		`{"info": {}, "item": [{"request": {"url": "https://a.example.com/", "auth": {"type": "oauth2", "oauth2": [{"key": "grant_type", "value": VALUE},
			{"key": "accessTokenUrl", "value": VALUE}, {"key": "scope", "value": VALUE}, {"key": "clientId", "value": VALUE}, {"key": "headerPrefix", "value": VALUE},
			{"key": "audience", "value": VALUE}, {"key": "authRequestParams", "value": [{"key": VALUE, "value": VALUE}]}]}}}]}`,
	},
	"openapi": {
		`{"openapi": "3.1.0", "info": {"title": VALUE}, "servers": [{"url": VALUE, "variables": {"a": {"default": VALUE}, VALUE: {}}}],
			"security": [{VALUE: [VALUE]}], "components": {"securitySchemes": {VALUE: {"type": "apiKey", "in": "header", "name": VALUE}}}}`,
		`{"openapi": "3.1.0", "servers": [{"url": "https://a.example.com"}], "security": [{"o": [VALUE], "q": []}], "components": {"securitySchemes": {
			"q": {"type": "apiKey", "in": "query", "name": VALUE}, "o": {"type": "oauth2", "flows": {VALUE: {}, "authorizationCode": {"tokenUrl": VALUE,
			"authorizationUrl": VALUE, "scopes": {VALUE: VALUE}}}}}}}`,
	},
}

// FuzzValues puts any text into all places of files that have one. What is printed adapts.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		"", "a", "Bearer ", "{$HOME}", "{env.HOME}", "{{x}}", `"`, "`", `\`, "a\nb", "#", "<<EOF", "your-api-key", "$TOKEN", "${TOKEN}", "sealed:v1:x", "import",
		"https://ann:pass@api.example.com:8443/v1?a=b&c=d#e", "http://a.example.com/../x", "https://[::1]/", "http://127.0.0.1/t", "HTTPS://A.example.com/%zz",
		"https://a.example.com/%7Bx%7D", "ftp://x/", "//x", "Host", "Authorization", "X-A", "+X", "-X", "a[b]", "access_token", "state", "scope", "b c,d", "é", "\x00",
		"implicit", "basic", "query", "1e9", "99999999999", "-1", "/etc/passwd", "X-Appsmith-Signature", "response_mode", "transfer-encoding", "x_api_key", "{", "}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, val string) {
		if len(val) > 1<<12 {
			t.Skip()
		}
		raw, err := json.Marshal(val)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range foreign.Formats() {
			for _, template := range templates[format] {
				text, err := foreign.Caddyfile(format, strings.NewReader(strings.ReplaceAll(template, "VALUE", string(raw))))
				if err != nil {
					continue
				}
				if _, err := rig.Adapt(text); err != nil {
					t.Fatalf("%q: %v\n%s", val, err, text)
				}
			}
		}
	})
}
