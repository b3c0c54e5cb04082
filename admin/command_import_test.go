// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestImport: the command reads a file or standard input, and prints a Caddyfile that adapts and
// has no secret.
func TestImport(t *testing.T) {
	const secret = "canary-password"
	const export = `{"datasourceList": [{"name": "CRM", "pluginId": "restapi-plugin", "datasourceConfiguration": {"url": "https://crm.example.com/v2",
		"authentication": {"authenticationType": "basic", "username": "` + secret + `", "password": "` + secret + `"}}}]}`
	file := filepath.Join(t.TempDir(), "app.json")
	if err := os.WriteFile(file, []byte(export), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", "appsmith", file}, {"import", "appsmith", "-"}} {
		got, err := output(t, export, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"#   CRM_USERNAME  the user name of the datasource \"CRM\"", "handle_path /crm/* {", "authenticated_api https://crm.example.com/v2 {",
			"auth basic {env.CRM_USERNAME} {env.CRM_PASSWORD}",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%v prints\n%s\nwithout %s", args, got, want)
			}
		}
		if strings.Contains(got, secret) {
			t.Errorf("%v prints the secret", args)
		}
		if _, err := rig.Adapt(got); err != nil {
			t.Error(err)
		}
	}
}

// TestImportServes: what is printed serves, once its variables are set.
func TestImportServes(t *testing.T) {
	api := rig.NewAPI(t, nil)
	collection := `{"info": {"name": "Pets", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
		"auth": {"type": "apikey", "apikey": [{"key": "key", "value": "X-Api-Key"}, {"key": "value", "value": "canary"}]},
		"variable": [{"key": "baseUrl", "value": "http://` + api.Addr + `/v1?format=json"}],
		"item": [{"name": "all", "request": {"method": "GET", "url": "{{baseUrl}}/pets"}}]}`
	text, err := output(t, collection, "import", "postman", "-")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PETS_API_KEY", "the-key-that-is-set")
	gateway := rig.Start(t, strings.ReplaceAll(text, "http://localhost:8080", "http://GATEWAY"))
	rig.Get(t, gateway, "/pets/list", "")
	got := one(t, api)
	for _, want := range []string{"GET /v1/list?format=json HTTP/1.1", "X-Api-Key: the-key-that-is-set"} {
		if !strings.Contains(got, want) {
			t.Errorf("the API got\n%s\nwithout %s", got, want)
		}
	}
}

// TestImportFails: an error says what is wrong, nothing is printed, and the exit status says so.
func TestImportFails(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"import", "insomnia", "-"}, "import: there is no such format; there are appsmith, postman, openapi"},
		{[]string{"import", "postman", "-"}, "import: info is missing; export the collection in Postman as Collection v2.1"},
		{[]string{"import", "openapi", filepath.Join(t.TempDir(), "gone")}, "no such file or directory"},
		{[]string{"import", "openapi"}, "accepts 2 arg(s), received 1"},
	} {
		out, err := output(t, `{"canary": 1}`, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: %v, want %s", tt.args, err, tt.want)
		}
		if strings.Contains(out, "authenticated_api ") {
			t.Errorf("%v prints %s", tt.args, out)
		}
	}
}
