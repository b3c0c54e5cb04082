// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestWireTarget compares the request target that arrives with the one that was sent: below the
// base URL, byte for byte.
func TestWireTarget(t *testing.T) {
	for _, test := range []struct{ base, sent, want string }{
		{"", "/", "/"},
		{"/", "/", "/"},
		{"", "/a/b", "/a/b"},
		{"/v2", "/", "/v2"}, // the base URL as it is written
		{"/v2/", "/", "/v2/"},
		{"/v2", "/a/b/", "/v2/a/b/"},
		{"/v2/", "/a", "/v2/a"},
		{"/v2//", "/a", "/v2/a"},
		{"/v2", "//a//b//", "/v2//a//b//"},
		{"", "//a", "//a"},
		{"/v2", "/a%2Fb", "/v2/a%2Fb"},
		{"/v2", "/a%2fb%20c", "/v2/a%2fb%20c"},
		{"/v2", "/a+b", "/v2/a+b"},
		{"/v2", "/a%2Bb%7E~", "/v2/a%2Bb%7E~"},
		{"/v2", "/a;b=c/d;e", "/v2/a;b=c/d;e"},
		{"/v2", "/a|b%2Fc", "/v2/a|b%2Fc"},
		{"/v2", "/a\"b^c`{d}", "/v2/a\"b^c`{d}"},
		{"/v2", "/gr\xc3\xbc\xc3\x9fe%2F", "/v2/gr\xc3\xbc\xc3\x9fe%2F"},
		{"/v2", "/100%25", "/v2/100%25"},
		{"/v%202/x%2Fy", "/a", "/v%202/x%2Fy/a"},
		{"/v%202/x%2Fy", "/a%2Fb", "/v%202/x%2Fy/a%2Fb"},
		{"/v2", "/a?", "/v2/a?"},
		{"/v2", "/a?b=c&&d;e=%zz&%", "/v2/a?b=c&&d;e=%zz&%"},
		{"/v2", "/a?b=/../c", "/v2/a?b=/../c"},
		{"/v2?k=v", "/a", "/v2/a?k=v"},
		{"/v2?k=v", "/a?b=c", "/v2/a?k=v&b=c"},
		{"/v2?k=v", "/a#b", "/v2/a%23b?k=v"},
		{"?k=v", "/#?b=c", "/%23?k=v&b=c"},
		{"/v2?k=v", "/a|#b?c#d", "/v2/a|%23b?k=v&c%23d"},
		{"/v2", "/.well-known/x", "/v2/.well-known/x"},
		{"/v2", "/.%23notes.txt", "/v2/.%23notes.txt"},
		{"/v2", "/dists/.;v=1/x", "/v2/dists/.;v=1/x"},
		{"/v2", "/a/.%3Fx", "/v2/a/.%3Fx"},
		{"/v2", "/./Packages", "/v2/./Packages"},
		{"/v2", "/%2e", "/v2/%2e"},
		{"", "/a/.", "/a/."},
		{"/v2", "/a..b/...", "/v2/a..b/..."},
	} {
		t.Run(test.base+" "+test.sent, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+test.base+" {\nauth bearer t\n}\n}")
			if res := rig.Get(t, gateway, test.sent, "User-Agent: test\r\n"); res.StatusCode != 200 {
				t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
			}
			wantHead(t, one(t, api), "GET "+test.want+" HTTP/1.1", "Host: "+api.Addr, "User-Agent: test", "Authorization: Bearer t")
		})
	}
}

// TestWireBadPath has paths that never leave.
func TestWireBadPath(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2 {\nauth bearer t\n}\n}")
	for _, path := range []string{
		"/..", "/../admin", "/a/../b", "/a/./..", "/%2e%2e/admin", "/%252e%252e/x", "/a%2f..%2fb", "/..%5cb", "/a\\..\\b",
		"/..;x/y", "/%2e%2e%3bx/y", "/a%00", "/a%2500",
	} {
		res := rig.Get(t, gateway, path, "")
		if res.StatusCode != 400 || !strings.Contains(res.Text, `"urn:authenticated-api:bad-path"`) {
			t.Errorf("%s: the client got %d %s", path, res.StatusCode, res.Text)
		}
	}
	if got := api.Requests(); len(got) > 0 {
		t.Errorf("the API got %q", got)
	}
}

// TestWireEdits has the options header and query, and their precedence: auth > signature > set >
// header_up > client > ?.
func TestWireEdits(t *testing.T) {
	t.Setenv("TEST_ENV", "{http.request.uri}") // what a placeholder brings is not expanded again
	for _, test := range []struct {
		name, block, target, header string
		line                        string
		fields                      []string
	}{
		{"set", "header X-Env prod", "/", "X-Env: client\r\nx_env: client\r\n", "GET / HTTP/1.1", []string{"X-Env: prod"}},
		{"set twice, the last counts", "header X-Env a\nheader x-env b", "/", "", "GET / HTTP/1.1", []string{"X-Env: b"}},
		{"add", "header +X-Tag a\nheader +X-Tag b", "/", "X-Tag: c\r\n", "GET / HTTP/1.1", []string{"X-Tag: c", "X-Tag: a", "X-Tag: b"}},
		{"delete", "header -X-Debug", "/", "X-Debug: 1\r\nx_debug: 1\r\nX-Other: 1\r\n", "GET / HTTP/1.1", []string{"X-Other: 1"}},
		{"default, absent", "header ?Accept text/csv", "/", "", "GET / HTTP/1.1", []string{"Accept: text/csv"}},
		{"default, present", "header ?Accept text/csv", "/", "Accept: */*\r\n", "GET / HTTP/1.1", []string{"Accept: */*"}},
		{"placeholder", "header X-Path \"m={http.request.method} {env.TEST_ENV}\"", "/p?q", "", "GET /p?q HTTP/1.1", []string{"X-Path: m=GET {http.request.uri}"}},
		{"client bytes are not expanded", "header X-In {http.request.header.X-Raw}", "/", "X-Raw: {env.HOME}{file./etc/passwd}\r\n", "GET / HTTP/1.1", []string{"X-In: {env.HOME}{file./etc/passwd}", "X-Raw: {env.HOME}{file./etc/passwd}"}},
		{"empty placeholder", "header X-User {http.auth.user.id}", "/", "X-User: admin\r\n", "GET / HTTP/1.1", nil},
		{"empty literal", `header X-Empty ""`, "/", "", "GET / HTTP/1.1", []string{"X-Empty: "}},
		{"header_up survives", "header_up X-Up 1\nheader_up Cookie c=1\nheader_up X-Forwarded-For 192.0.2.1\nheader_up Host other.example.com", "/", "Cookie: d=2\r\n", "GET / HTTP/1.1", []string{"X-Up: 1", "Cookie: c=1", "X-Forwarded-For: 192.0.2.1"}},
		{"auth above all", "auth bearer t\nheader Authorization x\nheader_up Authorization y", "/", "Authorization: z\r\n", "GET / HTTP/1.1", []string{"Authorization: Bearer t"}},
		{"set above header_up", "header X-A set\nheader_up X-A up", "/", "X-A: client\r\n", "GET / HTTP/1.1", []string{"X-A: set"}},
		{"header_up above default", "header ?X-A default\nheader_up X-A up", "/", "", "GET / HTTP/1.1", []string{"X-A: up"}},
		{"withheld", "auth bearer t", "/", "Cookie: a=b\r\nProxy-Authorization: x\r\nOrigin: http://GATEWAY\r\nReferer: http://x/\r\nForwarded: for=1\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Prefix: /x\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nx_http_method: DELETE\r\nX-Method-Override: DELETE\r\nX-HTTP-Method-Overrides: DELETE\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: cors\r\n", "GET / HTTP/1.1", []string{"Authorization: Bearer t"}},
		{"passed", "auth api_key X-Key k\npass_request_header Cookie Authorization Via", "/", "Cookie: a=b\r\nAuthorization: Basic x\r\nReferer: x\r\n", "GET / HTTP/1.1", []string{"X-Key: k", "Cookie: a=b", "Authorization: Basic x", "Via: 1.1 Caddy"}},
		{"a method passed on purpose", "pass_request_header X-HTTP-Method-Override", "/", "X-HTTP-Method-Override: PUT\r\nX-HTTP-Method: PUT\r\n", "GET / HTTP/1.1", []string{"X-Http-Method-Override: PUT"}},
		{"methods passed on purpose", "pass_request_header X-HTTP-Method* X-Method-Override", "/", "X-HTTP-Method: PUT\r\nX-Method-Override: PUT\r\n", "GET / HTTP/1.1", []string{"X-Http-Method: PUT", "X-Method-Override: PUT"}},
		{"a method of the operator's", "header X-HTTP-Method-Override PATCH", "/", "X-HTTP-Method-Override: PUT\r\nX-Http-Methods: 1\r\n", "GET / HTTP/1.1", []string{"X-Http-Method-Override: PATCH"}},
		{"passed, made by the proxy", "pass_request_header X-Forwarded-Host X-Forwarded-Proto", "/", "", "GET / HTTP/1.1", []string{"X-Forwarded-Host: GATEWAY", "X-Forwarded-Proto: http"}},
		{"Connection names ours", "auth api_key X-Key k", "/", "Connection: X-Key, authorization\r\nX-Key: evil\r\n", "GET / HTTP/1.1", []string{"X-Key: k"}},
		{"query set", "query env prod", "/?a=1&env=x&ENV=y&env[]=z&%65nv=w&b=2", "", "GET /?env=prod&a=1&b=2 HTTP/1.1", nil},
		{"query add", "query +tag a\nquery +tag b", "/?tag=c", "", "GET /?tag=c&tag=a&tag=b HTTP/1.1", nil},
		{"query delete", "query -debug", "/?debug=1&a&debug", "", "GET /?a HTTP/1.1", nil},
		{"query default", "query ?page 1\nquery ?size 10", "/?page=7", "", "GET /?size=10&page=7 HTTP/1.1", nil},
		{"query escaped", `query "a b" "c&d=e"`, "/", "", "GET /?a%20b=c%26d%3De HTTP/1.1", nil},
		{"query placeholder", "query who {http.request.header.X-Who}\nquery none {http.auth.user.id}", "/?none=x", "X-Who: a&b=c\r\n", "GET /?who=a%26b%3Dc HTTP/1.1", []string{"X-Who: a&b=c"}},
		{"query of one family", "query page[size] 50\nquery page[number] 1", "/?page[number]=9&page[after]=x", "", "GET /?page%5Bnumber%5D=1&page%5Bsize%5D=50&page[after]=x HTTP/1.1", nil},
		{"query and others of its family", "query filter[tenant] acme", "/?filter[status]=open&filter%5Btenant%5D=evil&filter=evil", "", "GET /?filter%5Btenant%5D=acme&filter[status]=open HTTP/1.1", nil},
		{"query default of a family", "query ?page[size] 100", "/?page[number]=2", "", "GET /?page%5Bsize%5D=100&page[number]=2 HTTP/1.1", nil},
		{"query delete of a family", "query -debug[sql]", "/?debug[sql]=1&debug[time]=1&[debug][sql]=1", "", "GET /?debug[time]=1 HTTP/1.1", nil},
		{"query in spellings of PHP's and qs's", "query tenant_id 7", "/?tenant.id=1&tenant+id=1&tenant[id=1&[tenant_id]=1&tenant[id]=1&tenantid=1", "", "GET /?tenant_id=7&tenant[id]=1&tenantid=1 HTTP/1.1", nil},
		{"key in query", "auth api_key key k {\nin query\n}\nquery key x", "/?KEY=evil;key=evil&a=1", "", "GET /?key=k&a=1 HTTP/1.1", nil},
		{"no Accept-Encoding is invented", "auth bearer t", "/", "", "GET / HTTP/1.1", []string{"Authorization: Bearer t"}},
		{"rewrite and method of the proxy", "rewrite /r{uri}\nmethod PUT", "/x", "", "PUT /r/x HTTP/1.1", []string{"Content-Length: 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+test.block+"\n}\n}")
			header := strings.ReplaceAll(test.header, "GATEWAY", gateway)
			if res := rig.Get(t, gateway, test.target, "User-Agent: test\r\n"+header); res.StatusCode != 200 {
				t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
			}
			host := "Host: " + api.Addr
			if strings.Contains(test.block, "header_up Host") {
				host = "Host: other.example.com"
			}
			want := []string{test.line, host, "User-Agent: test"}
			for _, field := range test.fields {
				want = append(want, strings.ReplaceAll(field, "GATEWAY", gateway))
			}
			wantHead(t, one(t, api), want...)
		})
	}
}

// TestWireBadValue has placeholders that bring a line break: neither a header of the client's
// making nor an error of the proxy, which would count against the API.
func TestWireBadValue(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nheader X-Q {http.request.uri.query.q}\n}\n}")
	res := rig.Get(t, gateway, "/?q=a%0d%0aX-Evil:%201", "")
	if res.StatusCode != 400 || !strings.Contains(res.Text, "bad-value") {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, gateway, "/?q=fine", ""); res.StatusCode != 200 {
		t.Errorf("the twin got %d %s", res.StatusCode, res.Text)
	}
	if got := one(t, api); !strings.Contains(got, "X-Q: fine\r\n") {
		t.Errorf("the API got %q", got)
	}
}

// TestWireNotUTF8 has users whose names are not UTF-8, in each form: a signature would make one
// name of many.
func TestWireNotUTF8(t *testing.T) {
	api := rig.NewAPI(t, nil)
	const block = "signature 0123456789abcdef0123456789abcdef {\nclaim sub {http.request.header.X-Who}\n}"
	for name, site := range map[string]string{
		"base URL":              "authenticated_api http://" + api.Addr + " {\n" + block + "\n}",
		"handler alone":         "authenticated_api {\n" + block + "\n}\nreverse_proxy " + api.Addr,
		"handler and transport": "authenticated_api {\n" + block + "\n}\nreverse_proxy " + api.Addr + " {\ntransport authenticated_api\n}",
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\n"+site+"\n}")
			for _, who := range []string{"\xff", "\xfe", "ann\xe9", "a\xe2\x82b"} {
				res := rig.Get(t, gateway, "/", "X-Who: "+who+"\r\n")
				if res.StatusCode != 400 || !strings.Contains(res.Text, `"urn:authenticated-api:bad-value"`) {
					t.Errorf("%q: the client got %d %s", who, res.StatusCode, res.Text)
				}
			}
			if got := api.Requests(); len(got) > 0 {
				t.Errorf("the API got %q", got)
			}
			for _, who := range []string{"ann", "andr\u00e9", "\ufffd", ""} {
				if res := rig.Get(t, gateway, "/", "X-Who: "+who+"\r\n"); res.StatusCode != 200 {
					t.Errorf("%q: the client got %d %s", who, res.StatusCode, res.Text)
				}
			}
			api.Requests()
		})
	}
}

// TestWireOwnProxy has the form without a base URL: the handler in front of the user's own
// reverse_proxy.
func TestWireOwnProxy(t *testing.T) {
	for _, test := range []struct {
		name, transport string
		via             []string
	}{
		// Caddy's own transport adds what ours does not.
		{"transport http", "", []string{"Via: 1.1 Caddy", "Accept-Encoding: gzip"}},
		{"transport authenticated_api", "transport authenticated_api", nil},
		{"transport authenticated_api, named", "transport authenticated_api {\ndatasource crm\n}", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, func(string) string {
				return rig.Response("200 OK", "Set-Cookie: evil=1\r\nAccess-Control-Allow-Origin: *\r\nX-Fine: 1\r\n", "ok")
			})
			gateway := rig.Start(t, `http://GATEWAY {
	header Strict-Transport-Security max-age=1
	authenticated_api {
		name crm
		auth api_key key k {
			in query
		}
		header X-Set 1
		header +X-Add 1
		header ?X-Default 1
		query ?page 1
		signature 0123456789abcdef0123456789abcdef
	}
	reverse_proxy http://`+api.Addr+` {
		`+test.transport+`
	}
}`)
			res := rig.Get(t, gateway, "/x?KEY=evil&a=1", "User-Agent: test\r\nConnection: X-Set, X-Appsmith-Signature\r\nX-Set: evil\r\n"+
				"Cookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\nX_Appsmith_Signature: evil\r\n")
			if res.StatusCode != 200 || res.Header.Get("X-Fine") != "1" || res.Header.Get("Strict-Transport-Security") == "" {
				t.Fatalf("the client got %d %v", res.StatusCode, res.Header)
			}
			if res.Header.Get("Set-Cookie") != "" || res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("the client got %v", res.Header)
			}
			request := one(t, api)
			lines := rig.Lines(request)
			signature := ""
			for i, line := range lines {
				if strings.HasPrefix(line, "X-Appsmith-Signature: ") {
					signature, lines[i] = line, "X-Appsmith-Signature: JWT"
				}
			}
			if strings.Count(signature, ".") != 2 {
				t.Errorf("signature %q", signature)
			}
			want := append([]string{
				"GET /x?key=k&page=1&a=1 HTTP/1.1", "Host: " + gateway, "User-Agent: test", "X-Set: 1", "X-Add: 1",
				"X-Default: 1", "X-Appsmith-Signature: JWT",
			}, test.via...)
			wantHead(t, strings.Join(lines, "\r\n"), want...)
		})
	}
}

// TestWireDatasources has several datasources on one host, two of them of one API with different
// keys, in snippets.
func TestWireDatasources(t *testing.T) {
	crm, billing := rig.NewAPI(t, nil), rig.NewAPI(t, nil)
	gateway := rig.Start(t, `(api) {
	handle_path /{args[0]}/* {
		authenticated_api {args[1]} {
			auth bearer {args[2]}
		}
	}
}
http://GATEWAY {
	import api crm http://`+crm.Addr+`/v1 crm-token
	import api crm2 http://`+crm.Addr+`/v1 crm2-token
	@billing path /billing/*
	authenticated_api @billing http://`+billing.Addr+` {
		auth api_key X-Key billing-key
	}
}`)
	for _, test := range []struct {
		path string
		api  *rig.API
		line string
		want string
	}{
		{"/crm/x", crm, "GET /v1/x HTTP/1.1", "Authorization: Bearer crm-token"},
		{"/crm2/x", crm, "GET /v1/x HTTP/1.1", "Authorization: Bearer crm2-token"},
		{"/billing/x", billing, "GET /billing/x HTTP/1.1", "X-Key: billing-key"},
	} {
		if res := rig.Get(t, gateway, test.path, "User-Agent: test\r\n"); res.StatusCode != 200 {
			t.Fatalf("%s: the client got %d", test.path, res.StatusCode)
		}
		wantHead(t, one(t, test.api), test.line, "Host: "+test.api.Addr, "User-Agent: test", test.want)
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

// TestHeaderUpAdd: what header_up adds to a field that is withheld arrives, and what the proxy or
// the client has put there does not.
func TestHeaderUpAdd(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nheader_up +X-Forwarded-For 192.0.2.9\nheader_up +Cookie a=b\n}\n}")
	rig.Get(t, gateway, "/", "User-Agent: test\r\nCookie: c=d\r\nX-Forwarded-For: 1.2.3.4\r\n")
	wantHead(t, one(t, api), "GET / HTTP/1.1", "Host: "+api.Addr, "User-Agent: test", "X-Forwarded-For: 192.0.2.9", "Cookie: a=b")
}
