// SPDX-License-Identifier: Apache-2.0

package value

import (
	"strings"
	"testing"
)

// TestCheckSecret: what another program would replace, or a person should have, is no secret.
func TestCheckSecret(t *testing.T) {
	for text, want := range map[string]string{
		"$TOKEN": "{env.TOKEN}", "$API_TOKEN": "{env.API_TOKEN}", "${TOKEN}": "{env.TOKEN}", "${API_TOKEN:-x}": "{env.API_TOKEN}", "${token}": "{env.NAME}",
		"%TOKEN%": "{env.TOKEN}", "%api_token%": "{env.NAME}", "$env:TOKEN": "{env.TOKEN}", "$Env:Token": "{env.NAME}", "$$TOKEN": "{env.TOKEN}",
		"$api_token": "{env.NAME}", "$token": "{env.NAME}", "#{TOKEN}": "{env.TOKEN}", "@TOKEN@": "{env.TOKEN}", "__API_TOKEN__": "{env.API_TOKEN}",
		"%(token)s": "{env.NAME}", "env.TOKEN": "{env.TOKEN}", "env:TOKEN": "{env.TOKEN}", "process.env.TOKEN": "{env.TOKEN}", "Bearer $TOKEN": "{env.TOKEN}",
		"${env.TOKEN}": "without it", "{env.TOKEN": "is missing", "{env.TOKEN};": "; and ,", "{file./run/x},": "; and ,",
		"$(cat /run/secrets/token)": "no commands", "`cat x`": "no commands",
		"'abcdef'": "quotes", "“abcdef”": "quotes", "'{env.TOKEN}'": "quotes",
		"<token>": "example", "<your token>": "example", "YOUR_API_KEY": "example", "your-token-here": "example", "yourApiKey": "example", "YOUR API KEY": "example",
		"INSERT_TOKEN_HERE": "example", "REPLACE_ME": "example", "[your token]": "example", "Enter your password": "example",
		"xxx": "example", "sk-xxxxxxxx": "example", "ghp_XXXXXXXXXXXX": "example", "sk-...": "example", "eyJhbGciOi…": "example", "********": "example",
		"/run/secrets/token": "{file./path}", "file:///run/secrets/token": "{file./path}", "./secrets/token.txt": "{file./path}", "~/secrets/token": "{file./path}",
		"@/run/secrets/token": "{file./path}",
	} {
		if err := CheckSecret("opt", text); err == nil || !strings.HasPrefix(err.Error(), "opt: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{
		"t", "secret", "password", "changeme", "my-token", "my-super-secret-auth-token", "$ecret", "$ecretPassw0rd", "pa$$word", "$2a$10$SI7bp/WxnML15vrnGTp9fu", "100%", "%41%42",
		"{env.TOKEN}", "{file./run/secrets/token}", "{env.A}{env.B}", "{env.A};{env.B}", "sealed:v1:abc", "sk_live_51HxQ2eZvKYlo2C", "AKIAIOSFODNN7EXAMPLE",
		"/cAnaRy+dGhpcyBpcyBh/IGtleQ==", "/Zx/Yw9abc", "abc=", "a.b.c", "yours", "youreka-31-horses", "it's", "environment", "xx", "x-ray", "<", "a<b>c", "__init", "e@x.de",
		`\{\}`, "correct horse battery staple", "key_9f8a7b6c",
	} {
		if err := CheckSecret("opt", text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCheckVariable: a value that need not be a secret may be anything but a variable.
func TestCheckVariable(t *testing.T) {
	for text, ok := range map[string]bool{
		"<etag>": true, "'x'": true, "/a/b": true, "...": true, "$filter": true, "$5": true, "100%": true, "your-name": true, "": true, "${http.vars.price}": true,
		"$TENANT": false, "${TENANT}": false, "%TENANT%": false, "Bearer $TOKEN": false, "${env.TENANT}": false,
	} {
		if err := CheckVariable("opt", text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestIsLiteral: a placeholder and a sealed value are not in the configuration.
func TestIsLiteral(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "{env.A}": false, "a{file./b}": false, "sealed:v1:x": false, "a": true, `\{a\}`: true, "{": true,
	} {
		if IsLiteral(text) != want {
			t.Errorf("%q", text)
		}
	}
}
