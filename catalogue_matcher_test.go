// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"os"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCatalogueMatcher: the matcher that the documentation has for one entry matches every request
// that the entry serves.
func TestCatalogueMatcher(t *testing.T) {
	const matcher = "@hr path /hr /hr/*"
	if text, err := os.ReadFile("docs/catalogue.md"); err != nil || !strings.Contains(string(text), "`"+matcher+"`") {
		t.Errorf("docs/catalogue.md does not have %s: %v", matcher, err)
	}
	api := rig.NewAPI(t, nil)
	for _, route := range []string{"handle", "handle_path /apis/*"} {
		prefix, _ := strings.CutPrefix(strings.TrimSuffix(route, "/*"), "handle_path ")
		prefix = strings.TrimPrefix(prefix, "handle")
		gateway := rig.Start(t, "http://GATEWAY {\n"+route+" {\n"+matcher+"\nrespond @hr 403\nauthenticated_apis {\nhr http://"+api.Addr+"/v2\n}\n}\n}")
		for _, path := range []string{
			"/hr", "/hr?a=1", "/hr/", "/hr/x", "//hr", "/hr//", "///hr//x", "/%68r", "/%68r/x", "/hr/.", "/hr/%2e", "/hr/%2e/", "/hr/..;/..", "/hr/.%00./..",
			"/hr/x/../y", "/hr/..", "/hr/%2e%2e", "/hr/%2e%2e/", "/hr/x%2f..%2f..", "/hr/..%2fcrm", "/hr/..%5c", "/hr//..", "/hr//../x", "/hr/%2f../x", "/hr/..;/../../x",
		} {
			res := rig.Get(t, gateway, prefix+path, "")
			if n := len(api.Requests()); n != 0 {
				t.Errorf("%s: %s%s passes the matcher, and is answered with %d", route, prefix, path, res.StatusCode)
			}
		}
	}
}
