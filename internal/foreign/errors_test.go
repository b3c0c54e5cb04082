// SPDX-License-Identifier: Apache-2.0

package foreign_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/authenticated-api/caddy-authenticated-api/internal/foreign"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestErrors: an error names the place and the remedy, and shows nothing of the file.
func TestErrors(t *testing.T) {
	const info = `"info": {"name": "x", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"}`
	for _, tt := range []struct{ format, input, want string }{
		{"insomnia", "{}", "there is no such format; there are appsmith, postman, openapi"},
		{"appsmith", " \n", "the file is empty; export it once more"},
		{"appsmith", "{\n\"a\": CANARY}", "line 2 is no JSON: the file is damaged, or of another format; " +
			"export the application in Appsmith (Export in the application's menu), as JSON"},
		{"appsmith", "[]", "the top: there is a list where an object should be; export the application"},
		{"appsmith", "{}", "datasourceList is missing; export the application"},
		{"appsmith", `{"datasourceList": []}`, "datasourceList: there is no authenticated API in it (the plugin restapi-plugin or graphql-plugin); export"},
		{
			"appsmith", `{"datasourceList": [{"datasourceConfiguration": {"url": {"CANARY": 1}}}]}`,
			"datasourceList.datasourceConfiguration.url: there is an object where a text should be; export",
		},
		{"appsmith", `{"datasourceList": 4711}`, "datasourceList: there is a number or a switch where a list should be; export"},
		{"postman", "{}", "info is missing; export the collection in Postman as Collection v2.1"},
		{"postman", `{"info": {"schema": "https://schema.getpostman.com/json/collection/v1.0.0/collection.json"}}`, "info.schema: it is not of version 2.1, nor of 2.0; export"},
		{
			"postman", `{"info": {"schema": "https://schema.getpostman.com/json/collection/v3.0.0/collection.json"}, "auth": ["CANARY"]}`,
			"info.schema: it is not of version 2.1, nor of 2.0; export",
		},
		{"postman", "{" + info + "}", "item: there is no request in it; export the collection in Postman as Collection v2.1, with its requests"},
		{
			"postman", "{" + info + `, "auth": {"type": "basic", "basic": "CANARY"}}`,
			"auth: there is a text where a list should be; export",
		},
		{
			"postman", "{" + info + `, "item": [` + strings.Repeat(`{"item": [`, 200) + strings.Repeat("]}", 200) + "]}",
			"item: folders lie in each other more than 100 deep; export",
		},
		{"openapi", `{"swagger": "2.0"}`, "swagger: it is Swagger 2, which is not read; convert it to OpenAPI 3 first"},
		{"openapi", "{}", "openapi: the version is missing, or is not 3; give a description in OpenAPI 3, as JSON or YAML"},
		{"openapi", "a: b\nc: [CANARY\n", "is neither JSON nor YAML: the file is damaged, or of another format; give"},
		{"openapi", "openapi: 3.0.0\nservers: CANARY\n", "servers: there is a text where a list should be; give"},
		{"openapi", "openapi: 3.0.0\nx: &a [*a]\n", "the file repeats itself, or is too deep; write it without aliases (&, *)"},
		{"openapi", bomb(), "the file repeats itself, or is too deep; write it without aliases (&, *)"},
	} {
		_, err := foreign.Caddyfile(tt.format, strings.NewReader(tt.input))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s %.60q: %v, want %s", tt.format, tt.input, err, tt.want)
		}
	}
}

// bomb returns a small YAML that stands for a large one.
func bomb() string {
	var b strings.Builder
	b.WriteString("openapi: 3.0.0\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		before, after := "*a"+string(rune('0'+i-1)), string(rune('0'+i))
		b.WriteString("a" + after + ": &a" + after + " [" + strings.TrimSuffix(strings.Repeat(before+", ", 10), ", ") + "]\n")
	}
	return b.String()
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestLimits: neither a large file nor one with many APIs is read to its end.
func TestLimits(t *testing.T) {
	if _, err := foreign.Caddyfile("openapi", endless{}); err == nil || err.Error() != "the file has more than 32 MiB; export less at a time" {
		t.Error(err)
	}
	many := `{"datasourceList": [` + strings.TrimSuffix(strings.Repeat(`{"name": "a"},`, 201), ",") + "]}"
	if _, err := foreign.Caddyfile("appsmith", strings.NewReader(many)); err == nil ||
		err.Error() != "the file describes 201 APIs, more than 200; export fewer at a time" {
		t.Error(err)
	}
	broken := errors.New("the disk is gone")
	if _, err := foreign.Caddyfile("appsmith", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzAppsmith, FuzzPostman and FuzzOpenAPI: whatever is printed adapts without a variable that
// is set.
func FuzzAppsmith(f *testing.F) { fuzz(f, "appsmith") }

func FuzzPostman(f *testing.F) { fuzz(f, "postman") }

func FuzzOpenAPI(f *testing.F) { fuzz(f, "openapi") }

func fuzz(f *testing.F, format string) {
	for _, file := range files(f, format) {
		f.Add(read(f, file))
	}
	for _, part := range []string{
		`{"datasourceList":[{"name":"connect","datasourceConfiguration":{"url":"http://[::1]:80/a b?x=1&x=2","headers":[{"key":"+a","value":"b"},` +
			`{"key":"Host","value":"h"},{"key":"X-A","value":"\"{$HOME} \\` + "`" + `"}],"authentication":{"authenticationType":"apiKey","label":"a b"}}}]}`,
		`{"openapi":"3","security":[{"k":[],"o":["a,b","c\"d"]}],"servers":[{"url":"https://{a}/","variables":{"a":{"default":"x y"}}}],` +
			`"components":{"securitySchemes":{"k":{"type":"apiKey","in":"query","name":"a[b]"},"o":{"type":"oauth2","flows":{"clientCredentials":{}}}}}}`,
	} {
		f.Add(part)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if len(input) > 1<<16 {
			t.Skip()
		}
		text, err := foreign.Caddyfile(format, strings.NewReader(input))
		if err != nil {
			return
		}
		if _, err := rig.Adapt(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
