// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestConfigErrors has what can be known only when a configuration is loaded. No message shows a
// secret.
func TestConfigErrors(t *testing.T) {
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("TEST_CRLF", "hunter2\r\nX-Evil: 1")
	t.Setenv("TEST_BLANK", " hunter2")
	t.Setenv("TEST_SHORT", "hunter2")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		block string
		want  []string
	}{
		"unset":              {"auth bearer {env.TEST_UNSET_SURELY}", []string{"auth bearer: token", "{env.TEST_UNSET_SURELY} is not set"}},
		"empty":              {"auth bearer {env.TEST_EMPTY}", []string{"auth bearer: token", "not set, or empty"}},
		"password":           {"auth basic ann {env.TEST_EMPTY}", []string{"auth basic: password", "not set, or empty"}},
		"no file":            {"auth bearer {file./no/such/file}", []string{"auth bearer: token", "{file./no/such/file}: no such file or directory"}},
		"a folder":           {"auth bearer {file." + filepath.Dir(empty) + "}", []string{"auth bearer: token", "is a directory"}},
		"no folder":          {"header X-A {file." + empty + "/x}", []string{"header X-A", "not a directory"}},
		"relative":           {"auth bearer {file.secrets/token}", []string{"auth bearer: token", "no such file or directory", "the path must be absolute"}},
		"dots":               {"auth bearer {file../secrets/token}", []string{"auth bearer: token", "no such file or directory", "the path must be absolute"}},
		"empty file":         {"auth api_key X-Key {file." + empty + "}", []string{"auth api_key: value", "the file is empty"}},
		"line break":         {"auth bearer {env.TEST_CRLF}", []string{"auth bearer: token", "control character"}},
		"blank":              {"auth bearer {env.TEST_BLANK}", []string{"auth bearer: token", "blank"}},
		"colon":              {"auth basic hunter2:x y", []string{"auth basic: username", "colon"}},
		"short secret":       {"signature {env.TEST_SHORT}", []string{"signature: secret", "7 bytes", "32", "openssl rand"}},
		"key file":           {"signature {\nkey_file /no/such/file\n}", []string{"signature: key_file", "no such file"}},
		"file shorthand":     {"auth bearer {file.token}", []string{"auth bearer: token", "absolute path"}},
		"request":            {"auth bearer {http.request.header.X}", []string{"auth bearer: token", "belongs to a request"}},
		"unknown":            {"auth bearer {no.such.hunter2}", []string{"auth bearer: token", "no placeholder"}},
		"braces":             {"auth bearer \"hunter2{x}\"", []string{"auth bearer: token", `\{`}},
		"header, unset":      {"header X-A {env.TEST_UNSET_SURELY}", []string{"header X-A", "{env.TEST_UNSET_SURELY} is not set"}},
		"certificate":        {"self_signed_cert /no/such/file", []string{"self_signed_cert", "no such file", "openssl req"}},
		"empty certificate":  {"self_signed_cert " + empty, []string{"self_signed_cert", "no certificate", "openssl req"}},
		"sealed, damaged":    {"auth bearer sealed:v1:hunter2", []string{"auth bearer: token", "sealed"}},
		"placeholder in key": {"signature {http.request.host}", []string{"signature: secret", "belongs to a request"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := rig.Load("http://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\n" + test.block + "\n}\n}")
			if err == nil {
				t.Fatal("the configuration was loaded")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q does not have %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error %q shows the secret", err)
			}
		})
	}
}

// TestConfigNames has two datasources of one given name.
func TestConfigNames(t *testing.T) {
	same := "authenticated_api /a/* https://api.example.com {\nname crm\nauth bearer t\n}\n"
	if err := rig.Load("http://" + rig.Free(t) + " {\n" + same + strings.Replace(same, "/a/", "/b/", 1) + "}"); err != nil {
		t.Errorf("two alike: %v", err)
	}
	err := rig.Load("http://" + rig.Free(t) + " {\n" + same + strings.Replace(same, "bearer t", "bearer u", 1) + "}")
	if err == nil || !strings.Contains(err.Error(), `two different datasources are called "crm"`) {
		t.Errorf("two that differ: %v", err)
	}
}
