// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for _, tt := range []struct {
		input  string
		method caddyfile.Unmarshaler
		want   string // what it becomes
	}{
		{`none`, new(auth.None), ``},
		{`basic ann {env.PW}`, new(auth.Basic), `ann {env.PW}`},
		{`basic {env.KEY} ""`, new(auth.Basic), `{env.KEY} `},
		{`basic "" {env.KEY}`, new(auth.Basic), ` {env.KEY}`},
		{"basic ann ``", new(auth.Basic), `ann `},
		{`basic ann "open sesame"`, new(auth.Basic), `ann open sesame`},
		{`bearer {file./run/secrets/token}`, new(auth.Bearer), `{file./run/secrets/token}`},
		{`api_key X-Api-Key {env.KEY}`, new(auth.APIKey), `X-Api-Key {env.KEY}  `},
		{"api_key k v {\n in query\n}", new(auth.APIKey), `k v query `},
		{"api_key k v {\n prefix Token\n in header\n}", new(auth.APIKey), `k v header Token`},
		{"api_key k v {\n}", new(auth.APIKey), `k v  `},
	} {
		if err := tt.method.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.input)); err != nil {
			t.Errorf("%s: %v", tt.input, err)
			continue
		}
		var got string
		switch m := tt.method.(type) {
		case *auth.Basic:
			got = m.Username + " " + m.Password
		case *auth.Bearer:
			got = m.Token
		case *auth.APIKey:
			got = strings.Join([]string{m.Key, m.Value, m.In, m.Prefix}, " ")
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.input, got, tt.want)
		}
	}
}

func TestCaddyfileErrors(t *testing.T) {
	for input, hint := range map[string]string{
		"none a":                             "too many arguments",
		"none {\n a\n}":                      "unrecognized option",
		"basic":                              "basic <username> <password>",
		"basic ann":                          "basic <username> <password>",
		"basic ann " + secret + " more":      "too many arguments",
		"basic ann " + secret + " {\n x\n}":  "unrecognized option",
		`bearer ""`:                          "an argument is empty",
		`basic "" ""`:                        "both empty",
		`basic ""`:                           "basic <username> <password>",
		`api_key k ""`:                       "an argument is empty",
		"bearer":                             "bearer <token>",
		"bearer " + secret + " more":         "too many arguments",
		"bearer " + secret + " {\n x\n}":     "unrecognized option",
		"api_key":                            "api_key <key> <value>",
		"api_key k":                          "api_key <key> <value>",
		"api_key k " + secret + " more":      "api_key <key> <value>",
		"api_key k v {\n place x\n}":         "there are in, prefix, connection",
		"api_key k v {\n in\n}":              "takes one of header",
		"api_key k v {\n in header query\n}": "takes one of header",
		"api_key k v {\n in cookie a b\n}":   "takes one of header",
		"api_key k v {\n in cookie \"\"\n}":  "the name is empty",
		"api_key \"a b\" " + secret + " {\n in cookie\n}":   "RFC 6265 §4.1.1",
		"api_key {env.K} " + secret + " {\n in cookie\n}":   "no placeholder",
		"api_key k v {\n in cookie\n prefix A\n}":           "header only",
		"api_key k v {\n in path a/../b\n}":                 "segment",
		"api_key k v {\n in path a?b\n}":                    "cannot stand in a path",
		"api_key bot bot" + secret + " {\n in path\n}":      "write the value alone",
		"api_key " + secret + " {\n in cookie\n}":           "takes the name and the value",
		"api_key \"\" {\n in path\n}":                       "empty",
		"api_key k v {\n in body\n}":                        "header, query",
		"api_key k v {\n in query\n in query\n}":            "given twice",
		"api_key k v {\n prefix A\n prefix B\n}":            "given twice",
		"api_key k v {\n in query\n prefix A\n}":            "header only",
		"api_key Transfer-Encoding " + secret:               "RFC 9110 §7.6.1",
		"api_key \"a b\" " + secret:                         "RFC 9110 §5.1",
		"api_key \"\" " + secret + " {\n in query\n}":       "empty",
		"api_key {env.KEY} " + secret + " {\n in query\n}":  "no placeholder",
		"api_key Host " + secret:                            "Host",
		"api_key k " + secret + " {\n prefix A B\n}":        "takes one value",
		"api_key k " + secret + " {\n in header {\n x\n}\n": "",
	} {
		d := caddyfile.NewTestDispenser(input)
		name, _, _ := strings.Cut(input, " ")
		method := map[string]caddyfile.Unmarshaler{
			"none": new(auth.None), "basic": new(auth.Basic), "bearer": new(auth.Bearer), "api_key": new(auth.APIKey),
		}[name]
		err := method.UnmarshalCaddyfile(d)
		switch {
		case err == nil:
			t.Errorf("%q passes", input)
		case !strings.Contains(err.Error(), "auth "+name) || !strings.Contains(err.Error(), hint):
			t.Errorf("%q: %q does not say %q", input, err, hint)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%q: %q shows the secret", input, err)
		}
	}
}
