// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"strings"
	"testing"

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

// TestNoProxy: without a base URL, since its {$NAME} is not set, and without a proxy, a request
// gets no empty 200.
func TestNoProxy(t *testing.T) {
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {$SURELY_NOT_SET_ANYWHERE} {\nauth bearer t\n}\n}")
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 502 || !strings.Contains(res.Text, "no proxy behind") {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
}

// TestNoDowngrade: a configuration in JSON whose transport has forgotten TLS does not send the
// credential in clear.
func TestNoDowngrade(t *testing.T) {
	api := rig.NewAPI(t, nil)
	config, err := rig.Adapt("{\nadmin off\nauto_https off\n}\nhttp://" + rig.Free(t) + " {\nauthenticated_api https://" + api.Addr + " {\nauth bearer t\nproxy reverse_proxy\n}\n}")
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

// TestOwnProxyNamed: a handler whose datasource a transport of ours names writes nothing on the
// request that the proxy, and its debug log, gets to see.
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

// TestSignatureField: a signature in the field of the credential would never arrive.
func TestSignatureField(t *testing.T) {
	err := rig.Load("http://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\nauth bearer t\n" +
		"signature 0123456789abcdef0123456789abcdef {\nheader authorization\n}\n}\n}")
	if err == nil || !strings.Contains(err.Error(), "signature: header: Authorization") {
		t.Errorf("got %v", err)
	}
}
