// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestRefusalsTold: an API that refuses the credential is told of in the log, with what can be
// done, once a minute; an API that is called without one, or answers otherwise, is not.
func TestRefusalsTold(t *testing.T) {
	const warning = "the API refuses the credential"
	for name, tt := range map[string]struct {
		block, proxy string // proxy: what stands behind a handler without a base URL, with API for the API
		answer       string
		remedy       string // "": nothing is told
	}{
		"static":               {block: "auth bearer {env.REFUSED}", answer: rig.Response("401 Unauthorized", "", ""), remedy: "its prefix"},
		"api key":              {block: "auth api_key X-Key {env.REFUSED}", answer: rig.Response("401 Unauthorized", "", ""), remedy: "its prefix"},
		"403 of refresh_on":    {block: "auth bearer {env.REFUSED}\nrefresh_on 403", answer: rig.Response("403 Forbidden", "", ""), remedy: "its prefix"},
		"403, invalid_token":   {block: "auth bearer {env.REFUSED}", answer: rig.Response("403 Forbidden", "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", ""), remedy: "refresh_on"},
		"400, invalid_token":   {block: "auth bearer {env.REFUSED}", answer: rig.Response("400 Bad Request", "WWW-Authenticate: Bearer realm=\"x\", error=invalid_token\r\n", ""), remedy: "refresh_on"},
		"signature only":       {block: "auth none\nsignature {env.REFUSED}", answer: rig.Response("401 Unauthorized", "", ""), remedy: "its prefix"},
		"proxy of one's own":   {block: "auth bearer {env.REFUSED}", proxy: "reverse_proxy API", answer: rig.Response("401 Unauthorized", "", ""), remedy: "its prefix"},
		"403":                  {block: "auth bearer {env.REFUSED}", answer: rig.Response("403 Forbidden", "", "")},
		"served":               {block: "auth bearer {env.REFUSED}", answer: rig.Response("200 OK", "", "")},
		"nothing of ours":      {block: "auth none", answer: rig.Response("401 Unauthorized", "", "")},
		"served, with a proxy": {block: "auth bearer {env.REFUSED}", proxy: "reverse_proxy API", answer: rig.Response("200 OK", "", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("REFUSED", "canary-of-the-credential-of-32-bytes")
			api := rig.NewAPI(t, func(string) string { return tt.answer })
			log := filepath.Join(t.TempDir(), "log")
			base := "http://" + api.Addr
			if tt.proxy != "" {
				base = ""
			}
			gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel INFO\n}\n}\nhttp://GATEWAY {\n"+
				"authenticated_api "+base+" {\nname crm\n"+tt.block+"\n}\n"+strings.ReplaceAll(tt.proxy, "API", api.Addr)+"\n}")
			for range 3 {
				rig.Get(t, gateway, "/x", "")
			}
			said := read(t, log)
			want := 1
			if tt.remedy == "" {
				want = 0
			}
			if n := strings.Count(said, warning); n != want {
				t.Errorf("told of %d times, want %d: %s", n, want, said)
			}
			if tt.remedy != "" && (!strings.Contains(said, tt.remedy) || !strings.Contains(said, `"datasource":"crm"`)) {
				t.Errorf("the log says %s, want %q", said, tt.remedy)
			}
			if strings.Contains(said, "canary") {
				t.Errorf("the log shows the credential: %s", said)
			}
		})
	}
}
