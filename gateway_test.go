// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestStickyCookie: the proxy chooses an upstream by a cookie that the API does not get to see.
func TestStickyCookie(t *testing.T) {
	a, b := rig.NewAPI(t, nil), rig.NewAPI(t, nil)
	for name, caddyfile := range map[string]string{
		"with a base URL": "authenticated_api http://" + a.Addr + " {\nto http://" + b.Addr + "\nlb_policy cookie lb\nauth bearer t\n}",
		"own proxy": "authenticated_api {\nauth bearer t\npass_request_header Cookie\n}\nreverse_proxy http://" + a.Addr + " http://" + b.Addr +
			" {\nlb_policy cookie lb\nheader_down Strict-Transport-Security max-age=1\ntransport authenticated_api\n}",
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\n"+caddyfile+"\n}")
			res := rig.Get(t, gateway, "/", "")
			cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
			if !strings.HasPrefix(cookie, "lb=") {
				t.Fatalf("the client got %v", res.Header)
			}
			if name == "own proxy" && res.Header.Get("Strict-Transport-Security") == "" {
				t.Error("header_down of the proxy has no effect")
			}
			a.Requests()
			b.Requests()
			for range 10 {
				if res := rig.Get(t, gateway, "/", "Cookie: "+cookie+"\r\n"); res.Header.Get("Set-Cookie") != "" {
					t.Fatal("the client got another cookie")
				}
			}
			gotA, gotB := a.Requests(), b.Requests()
			if len(gotA) != 0 && len(gotB) != 0 {
				t.Errorf("%d requests went to one, %d to the other", len(gotA), len(gotB))
			}
			if name == "with a base URL" && strings.Contains(strings.Join(append(gotA, gotB...), ""), "Cookie") {
				t.Error("the API got the cookie")
			}
		})
	}
}

// TestNoProxy: without a base URL, since its {$NAME} is not set, and without a proxy, a request gets no empty 200.
func TestNoProxy(t *testing.T) {
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {$SURELY_NOT_SET_ANYWHERE} {\nauth bearer t\n}\n}")
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 502 || !strings.Contains(res.Text, "no proxy behind") {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
}

// TestNoDowngrade: a configuration in JSON whose transport has forgotten TLS does not send the credential in clear.
func TestNoDowngrade(t *testing.T) {
	api := rig.NewAPI(t, nil)
	config, err := rig.Adapt("{\nadmin off\nauto_https off\n}\nhttp://" + rig.Free(t) + " {\nauthenticated_api https://" + api.Addr + " {\nauth bearer t\n}\n}")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ from, to string }{
		{`,"tls":{}`, ``},
		{`"datasource":"127-0-0-1-` + strings.Split(api.Addr, ":")[1] + `",`, ``},
	} {
		if !strings.Contains(string(config), change.from) {
			t.Fatalf("%s is not in %s", change.from, config)
		}
	}
	noTLS := strings.Replace(string(config), `,"tls":{}`, ``, 1)
	if err := caddy.Load([]byte(noTLS), true); err == nil || !strings.Contains(err.Error(), "in clear") {
		t.Errorf("a named transport without tls: %v", err)
	}
	unnamed := strings.Replace(noTLS, `"datasource":"127-0-0-1-`+strings.Split(api.Addr, ":")[1]+`",`, ``, 1)
	if err := caddy.Load([]byte(unnamed), true); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()
	var listen struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct{ Listen []string }
			}
		}
	}
	if err := json.Unmarshal([]byte(unnamed), &listen); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(listen.Apps.HTTP.Servers["srv0"].Listen[0], ":")
	if res := rig.Get(t, "127.0.0.1:"+port, "/", ""); res.StatusCode != 502 {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
	if got := api.Requests(); len(got) > 0 {
		t.Errorf("the API got %q", got)
	}
}

// TestOwnProxyNamed: a handler whose datasource a transport of ours names writes nothing on the request that the proxy, and
// its debug log, gets to see.
func TestOwnProxyNamed(t *testing.T) {
	api := rig.NewAPI(t, nil)
	log := t.TempDir() + "/log"
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\npersist_config off\nlog {\noutput file "+log+"\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\n"+
		"authenticated_api {\nname crm\nauth api_key X-Key canary\n}\nreverse_proxy http://"+api.Addr+
		" {\ntransport authenticated_api {\ndatasource crm\n}\n}\n}")
	rig.Get(t, gateway, "/", "")
	if got := one(t, api); strings.Count(got, "canary") != 1 || !strings.Contains(got, "X-Key: canary\r\n") {
		t.Errorf("the API got %q", got)
	}
	if lines := read(t, log); !strings.Contains(lines, "upstream roundtrip") || strings.Contains(lines, "canary") {
		t.Errorf("the log is\n%s", lines)
	}
}

// TestQueryAfterRewrite: {query} in the proxy's rewrite is the query of the original request.
func TestQueryAfterRewrite(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nquery -debug\nauth api_key a+b k {\nin query\n}\nrewrite /x?{query}\n}\n}")
	rig.Get(t, gateway, "/?debug=1&a%2Bb=evil&c=d", "")
	if got := one(t, api); !strings.HasPrefix(got, "GET /x?a%2Bb=k&c=d HTTP/1.1\r\n") {
		t.Errorf("the API got %q", got)
	}
}

// TestSignatureField: a signature in the field of the credential would never arrive.
func TestSignatureField(t *testing.T) {
	err := rig.Load("http://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\nauth bearer t\n" +
		"signature 0123456789abcdef0123456789abcdef {\nheader authorization\n}\n}\n}")
	if err == nil || !strings.Contains(err.Error(), "signature: header: Authorization") {
		t.Errorf("got %v", err)
	}
}

// TestHeaderUpAdd: what header_up adds to a field that is withheld arrives, and what the proxy or the client has put there does not.
func TestHeaderUpAdd(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nheader_up +X-Forwarded-For 192.0.2.9\nheader_up +Cookie a=b\n}\n}")
	rig.Get(t, gateway, "/", "User-Agent: test\r\nCookie: c=d\r\nX-Forwarded-For: 1.2.3.4\r\n")
	wantHead(t, one(t, api), "GET / HTTP/1.1", "Host: "+api.Addr, "User-Agent: test", "X-Forwarded-For: 192.0.2.9", "Cookie: a=b")
}

// TestLinksAtTheBase: links to the base URL itself, and relative ones where the route's path has no slash at its end.
func TestLinksAtTheBase(t *testing.T) {
	location := ""
	var api *rig.API
	api = rig.NewAPI(t, func(string) string {
		return rig.Response("302 Found", "Location: "+strings.ReplaceAll(location, "API", "http://"+api.Addr)+"\r\n", "")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /crm* {\nauthenticated_api http://"+api.Addr+"/v2\n}\nauthenticated_api http://"+api.Addr+"/v2\n}")
	for _, test := range []struct{ target, location, want string }{
		{"/x", "API/v2", "GW/"},
		{"/x", "/v2", "/"},
		{"/x", "/v2?a=b", "/?a=b"},
		{"/x", "API/v2/", "GW/"},
		{"/crm/x", "API/v2", "GW/crm"},
		{"/crm", "v2/next", "/crm/next"},
		{"/crm", "next", "API/next"}, // it is beside /v2
		{"/crm/", "next", "next"},
		{"/", "v2/next", "/next"},
		{"/crm/x/y", "next", "next"},
	} {
		location = test.location
		want := strings.NewReplacer("GW", "http://"+gateway, "API", "http://"+api.Addr).Replace(test.want)
		if res := rig.Get(t, gateway, test.target, ""); res.Header.Get("Location") != want {
			t.Errorf("%s: Location %s becomes %s, want %s", test.target, test.location, res.Header.Get("Location"), want)
		}
	}
}

// TestStalledRefusal: a 401 whose body never ends does not keep a request waiting that can be sent again.
func TestStalledRefusal(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "old")
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "Bearer old") {
			write(t, file, "new")
			return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nhalf"
		}
		return rig.OK("ok")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nauth bearer {file."+file+"}\n}\n}")
	start := time.Now()
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 || time.Since(start) > 5*time.Second {
		t.Errorf("the client got %d after %v", res.StatusCode, time.Since(start))
	}
}
