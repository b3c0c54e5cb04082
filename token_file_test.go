// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestTokenFileAsPeopleHaveThem: what an editor puts around a token is no part of it.
func TestTokenFileAsPeopleHaveThem(t *testing.T) {
	const mark = "\ufeff"
	api := rig.NewAPI(t, nil)
	for name, text := range map[string]string{
		"a mark": mark + "tok", "a mark and CRLF": mark + "tok\r\n", "CRLF": "tok\r\n", "LF": "tok\n", "nothing": "tok",
	} {
		file := rig.Save(t, text)
		t.Setenv("TEST_TOKEN", strings.TrimRight(text, "\r\n"))
		for _, option := range []string{
			"auth bearer {file." + file + "}", "auth api_key Authorization {file." + file + "} {\nprefix Bearer\n}",
			"header Authorization \"Bearer {file." + file + "}\"", "auth bearer {env.TEST_TOKEN}",
		} {
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+option+"\n}\n}")
			rig.Get(t, gateway, "/", "")
			if got := one(t, api); !strings.Contains(got, "Authorization: Bearer tok\r\n") {
				t.Errorf("%s, %s: the API got %q", name, option, got)
			}
		}
	}
	for name, text := range map[string]string{
		"UTF-16": rig.UTF16("tok\r\n", true), "UTF-16 without a mark": rig.UTF16("tok", false), "UTF-16BE": "\xfe\xff\x00t\x00o\x00k\x00\r\x00\n",
	} {
		got := loadError(t, "http://GATEWAY {\nauthenticated_api http://api.example {\nauth bearer {file."+rig.Save(t, text)+"}\n}\n}")
		if !strings.Contains(got, "auth bearer: token") || !strings.Contains(got, "is UTF-16; save it as UTF-8") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := loadError(t, "http://GATEWAY {\nauthenticated_api http://api.example {\nauth bearer {file."+rig.Save(t, mark+"\r\n")+"}\n}\n}"); !strings.Contains(got, "empty") {
		t.Errorf("a mark alone: %s", got)
	}
}
