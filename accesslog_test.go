// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestAccessLog: the access log says for which datasource and connection a request was, and why
// it was refused, whoever has refused it.
func TestAccessLog(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	var origin *rig.API
	origin = rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /turns") {
			return rig.Response("308 Permanent Redirect", "Location: https://"+origin.Addr+"/turns\r\n", "")
		}
		return rig.Response("200 OK", "", "ok")
	})
	log := filepath.Join(t.TempDir(), "log")
	oauth := "auth oauth2 authorization_code {\ntoken_url http://127.0.0.1:9/token\nauthorization_url http://127.0.0.1:9/authorize\n" +
		"client_id me\nclient_secret canary-secret\nredirect_url https://gateway.example.com/connect/callback\n"
	api := func(path, block string) string {
		return "handle_path /" + path + "/* {\nauthenticated_api http://" + origin.Addr + " {\nname " + path + "\n" + block + "\n}\n}\n"
	}
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+t.TempDir()+
		"\nlog {\noutput file "+log+"\n}\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\nlog\n"+
		"vars user {query.as}\n"+ // a test's users
		api("good", "auth bearer canary-token")+api("caddys", "auth bearer canary-token\nerrors caddy")+
		api("mine", oauth+"connection {http.vars.user} trusted\n}")+
		strings.Replace(api("down", "auth bearer canary-token"), origin.Addr, rig.Free(t), 1)+
		"handle /other {\nrespond other\n}\n}")
	for _, test := range []struct{ path, want string }{
		{"/good/x", "good <nil> <nil> 200"},
		{"/good/x%00", "good <nil> bad-path 400"},
		{"/caddys/x%00", "caddys <nil> bad-path 400"},
		{"/mine/x?as=ann", "mine ann authorization-required 401"},
		{"/mine/x", "mine <nil> identity-required 401"},
		{"/down/x", "down <nil> api-unreachable 502"},
		{"/good/turns", "good <nil> redirect 502"},
		{"/other", "<nil> <nil> <nil> 200"},
	} {
		if err := os.Truncate(log, 0); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		e := rig.WantLogged(t, log, "handled request")
		if got := fmt.Sprint(e["datasource"], " ", e["connection"], " ", e["error_code"], " ", e["status"]); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
		if text := fmt.Sprint(e); strings.Contains(text, "canary") {
			t.Errorf("%s: a secret is in %s", test.path, text)
		}
	}
}
