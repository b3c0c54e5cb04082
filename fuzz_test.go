// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	authenticatedapi "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// FuzzCaddyfile gives the directive a block. Nothing that it adapts to is lost on the way through
// JSON: what the adapter prints is what the modules read.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		caddyfile, _, _ := strings.Cut(string(content), separator)
		if _, block, ok := strings.Cut(caddyfile, "authenticated_api https://api.example.com/v2 {\n"); ok {
			f.Add(strings.TrimSuffix(strings.TrimSpace(block), "}\n}"))
		}
	}
	f.Fuzz(func(t *testing.T, block string) {
		if strings.Contains(block, "import") {
			t.Skip() // it reads files
		}
		config, err := rig.Adapt(":1 {\nauthenticated_api https://api.example.com/v2 {\n" + block + "\n}\n}")
		if err != nil {
			return
		}
		eachHandler(t, config, func(raw json.RawMessage, module any) {
			if err := caddy.StrictUnmarshalJSON(raw, module); err != nil {
				t.Fatalf("%s is not read back: %v", raw, err)
			}
			again, err := json.Marshal(module)
			if err != nil {
				t.Fatal(err)
			}
			var want, got any
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(again, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s becomes %s", raw, again)
			}
		})
	})
}

// eachHandler calls f for every handler and transport of ours in a configuration, without its
// inline key, and with an empty module of its kind.
func eachHandler(t *testing.T, config json.RawMessage, f func(raw json.RawMessage, module any)) {
	t.Helper()
	var object map[string]json.RawMessage
	if json.Unmarshal(config, &object) == nil {
		for key, kind := range map[string]func() any{
			"handler":  func() any { return new(authenticatedapi.Handler) },
			"protocol": func() any { return new(authenticatedapi.Transport) },
		} {
			if string(object[key]) == `"authenticated_api"` {
				delete(object, key)
				raw, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				f(raw, kind())
			}
		}
		for _, value := range object {
			eachHandler(t, value, f)
		}
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(config, &list) == nil {
		for _, value := range list {
			eachHandler(t, value, f)
		}
	}
}
