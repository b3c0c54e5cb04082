// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"os"
	"path/filepath"
	"testing"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestWireMethods(t *testing.T) {
	t.Setenv("TEST_SECRET", "s3cr&t +/=")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, block string
		line        string // the request line
		fields      []string
	}{
		{"none", `auth none`, "GET /v2/x?a=1 HTTP/1.1", nil},
		{"default", ``, "GET /v2/x?a=1 HTTP/1.1", nil},
		{"basic", `auth basic ann "pass word"`, "GET /v2/x?a=1 HTTP/1.1", []string{"Authorization: Basic YW5uOnBhc3Mgd29yZA=="}},
		{"basic utf-8", `auth basic jürg ключ`, "GET /v2/x?a=1 HTTP/1.1", []string{"Authorization: Basic asO8cmc60LrQu9GO0Yc="}},
		{"bearer", `auth bearer {env.TEST_SECRET}`, "GET /v2/x?a=1 HTTP/1.1", []string{"Authorization: Bearer s3cr&t +/="}},
		{"bearer from a file", `auth bearer {file.` + file + `}`, "GET /v2/x?a=1 HTTP/1.1", []string{"Authorization: Bearer from-file"}},
		{"api key", `auth api_key X-Api-Key {env.TEST_SECRET}`, "GET /v2/x?a=1 HTTP/1.1", []string{"X-Api-Key: s3cr&t +/="}},
		{"api key with prefix", "auth api_key authorization k1 {\nprefix Token\n}", "GET /v2/x?a=1 HTTP/1.1", []string{"Authorization: Token k1"}},
		{"api key in query", "auth api_key api_key {env.TEST_SECRET} {\nin query\n}", "GET /v2/x?api_key=s3cr%26t%20%2B%2F%3D&a=1 HTTP/1.1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2 {\n"+test.block+"\n}\n}")
			if res := rig.Get(t, gateway, "/x?a=1", "User-Agent: test\r\nAccept: */*\r\n"); res.StatusCode != 200 || res.Text != "ok" {
				t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
			}
			wantHead(t, one(t, api), append([]string{test.line, "Host: " + api.Addr, "User-Agent: test", "Accept: */*"}, test.fields...)...)
		})
	}
}
