// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestSecretsInAnswers lets the API name in fields of an answer what the request has carried: in
// the final answer, in an interim one, and behind the body, through each kind of proxy.
func TestSecretsInAnswers(t *testing.T) {
	t.Setenv("KEY", "canary-key-7731")
	t.Setenv("SPACED", "canary key/7731&x")
	t.Setenv("TENANT", "acme")
	t.Setenv("ACCOUNT", "0b1c7d52-3a1f-4a53-9d0c-1f0a4b9a7e11")
	const (
		header = "auth api_key X-Api-Key {env.KEY}"
		query  = "auth api_key api_key {env.KEY} {\nin query\n}"
		bearer = "auth bearer {env.KEY}"
	)
	for _, test := range []struct {
		block, line string
		want        string // the line that passes; "" for none
	}{
		// The credential's own field, and the fields about credentials, are the gateway's.
		{header, "X-Api-Key: the-next-one", ""},
		{header, "Authorization: Bearer the-next-one", ""},
		{bearer, "Authorization: Bearer the-next-one", ""},
		{bearer, "Authentication-Info: nextnonce=\"x\"", ""},
		{query, "Proxy-Authentication-Info: nextnonce=\"x\"", ""},
		{bearer, "X-Api-Key: anything", "X-Api-Key: anything"},
		// If the gateway has no credential, these fields are the caller's.
		{"auth none", "Authorization: Bearer theirs", "Authorization: Bearer theirs"},
		{header + "\npass_request_header Authorization", "Authorization: Bearer theirs", "Authorization: Bearer theirs"},
		{header + "\npass_request_header Authorization", "X-Api-Key: the-next-one", ""},
		{"header Authorization \"Token {env.KEY}\"", "Authorization: Token the-next-one", ""},
		{"signature 0123456789abcdef0123456789abcdef", "X-Appsmith-Signature: the-next-one", ""},
		// The credential's value is removed from every other field.
		{header, "X-Echo: canary-key-7731", ""},
		{header, "X-Echo: you sent canary-key-7731.", ""},
		{header, "X-Echo: %63anary%2Dkey-7731", ""},
		{header, "X-Echo: canary%252Dkey%252D7731", ""},
		{header, "X-Echo: canary%25252Dkey-7731", ""},
		{header, "X-Echo: canary-key-773", "X-Echo: canary-key-773"},
		{header, "X-Echo: canary%2Dkey%2D773%31%25", ""},
		{header, "Etag: \"canary-key-7731\"", ""},
		{header + "\npass_response_header Set-Cookie", "Set-Cookie: k=canary-key-7731; Path=/", ""},
		{header + "\npass_response_header Set-Cookie", "Set-Cookie: __Host-k=v; Path=/", "Set-Cookie: __Host-k=v; Path=/"},
		{bearer, "X-Echo: canary-key-7731", ""},
		{"auth api_key X-Key {env.SPACED}", "X-Echo: canary+key%2F7731%26x", ""},
		{"auth api_key X-Key {env.SPACED} {\nprefix Token\n}", "X-Echo: canary%20key/7731&x", ""},
		{"auth basic ann {env.KEY}", "X-Echo: YW5uOmNhbmFyeS1rZXktNzczMQ==", ""},
		{"auth basic ann {env.KEY}", "X-Echo: YW5uOmNhbmFyeS1rZXktNzczMQ", ""},
		{"auth basic ann {env.KEY}", "X-Echo: ann:canary-key-7731", ""},
		{"auth basic ann {env.KEY}", "X-User: ann", "X-User: ann"},
		{"auth basic {env.KEY} X", "X-Echo: canary-key-7731", ""},
		{"auth basic {env.KEY} X", "X-Echo: X", "X-Echo: X"},
		// From a URL, only the parts that show the credential are removed.
		{query, "X-Goog-Upload-Url: https://api.test/up?api_key=canary-key-7731&upload_id=1", "X-Goog-Upload-Url: https://api.test/up?upload_id=1"},
		{query, "Operation-Location: https://api.test/op/1?a=b&api_key=canary%2Dkey-7731", "Operation-Location: https://api.test/op/1?a=b"},
		{query, "Azure-Asyncoperation: /op/1?token=canary-key-7731", "Azure-Asyncoperation: /op/1"},
		{bearer, "X-Next: https://api.test/canary-key-7731/x;k=canary-key-7731;a=1/y", "X-Next: https://api.test/x;a=1/y"},
		{bearer, "X-Next: https://canary-key-7731@api.test/x", ""},
		{bearer, "X-Next: https://x.test/?next=https%3A%2F%2Fy.test%2F%3Fk%3Dcanary-key-7731%26a%3Db", "X-Next: https://x.test/?next=https%3A%2F%2Fy.test%2F%3Fa%3Db"},
		{query, "X-Json: {\"url\":\"https://api.test/?api_key=canary-key-7731\"}", ""},
		{query, "Location: https://api.test/canary-key-7731/x?a=b#api_key=canary-key-7731&c=d", "Location: https://api.test/x?a=b#c=d"},
		{query, "Location: /x&api_key=canary-key-7731;api_key=canary-key-7731", "Location: /x"},
		{query, "Location: /login?state=api_key%3Dcanary-key-7731%26a%3Db", "Location: /login?state=a%3Db"},
		{query, "Link: </a>; rel=next; anchor=\"https://api.test/?a=b&api_key=canary-key-7731\"", "Link: </a>; rel=next; anchor=\"https://api.test/?a=b\""},
		{query, "Link: </a>; rel=next; Anchor = \"?api_key=an-older-one\"", "Link: </a>; rel=next; Anchor = \"\""},
		{query, "Link: </a>; rel=next; anchor=/?api_key=canary-key-7731", ""},
		{query, "Link: </a>; title=\"canary-key-7731\"", ""},
		{query, "Link: </a>; title=\"anchor\"; x=\"?api_key=b\"", "Link: </a>; title=\"anchor\"; x=\"?api_key=b\""},
		// A parameter with the credential's name is another host's own affair.
		{query, "Location: https://files.test/f?api_key=one-time&a=b", "Location: https://files.test/f?api_key=one-time&a=b"},
		{query, "Location: https://files.test/f?api_key=canary-key-7731&a=b", "Location: https://files.test/f?a=b"},
		{query, "Location: //files.test/f?api_key=one-time", "Location: //files.test/f?api_key=one-time"},
		{query, "Location: /f?api_key=an-older-one&a=b", "Location: /f?a=b"},
		{query, "Location: /f?next=https%3A%2F%2Ffiles.test%2F%3Fapi_key%3Done-time", "Location: /f?next=https%3A%2F%2Ffiles.test%2F%3Fapi_key%3Done-time"},
		{query, "Location: /f?next=%2Fg%3Fapi_key%3Dan-older-one", "Location: /f?next=%2Fg"},
		// A short credential is a part of many words.
		{"auth bearer demo", "X-Echo: demo", ""},
		{"auth bearer demo", "X-Echo: key=demo, x", ""},
		{"auth bearer demo", "X-Echo: democracy, a-demo, demo_2", "X-Echo: democracy, a-demo, demo_2"},
		{"auth bearer ok", "X-Echo: ok", "X-Echo: ok"},
		// Values of header and query that come from variables are removed if they can be secrets.
		{"header X-App-Secret {env.KEY}", "X-Echo: canary-key-7731", ""},
		{"header ?X-App-Secret \"v1 {env.KEY} {http.request.method}\"", "X-Echo: canary-key-7731", ""},
		{"query app_secret {env.KEY}", "Location: /x?app_secret=canary-key-7731&a=b", "Location: /x?a=b"},
		{"header X-Tenant {env.TENANT}", "X-Tenant: acme", "X-Tenant: acme"},
		{"header X-Account {env.ACCOUNT}", "X-Next: /0b1c7d52-3a1f-4a53-9d0c-1f0a4b9a7e11/x", "X-Next: /0b1c7d52-3a1f-4a53-9d0c-1f0a4b9a7e11/x"},
		{"header X-Stage written-out-in-the-configuration", "X-Stage: written-out-in-the-configuration", "X-Stage: written-out-in-the-configuration"},
	} {
		t.Run(test.block+" "+test.line, func(t *testing.T) { secretsInAnswer(t, test.block, test.line, test.want) })
	}
}

func secretsInAnswer(t *testing.T, block, line, want string) {
	t.Helper()
	name, _, _ := strings.Cut(line, ":")
	_, wanted, _ := strings.Cut(want, ": ")
	api := rig.NewAPI(t, func(request string) string {
		switch {
		case strings.Contains(request, "/trailers"):
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: " + name + "\r\n\r\n2\r\nok\r\n0\r\n" + line + "\r\nX-Mine: 1\r\n\r\n"
		case strings.Contains(request, "/interim"):
			return "HTTP/1.1 103 Early Hints\r\nX-Mine: 1\r\n" + line + "\r\n\r\n" + rig.Response("200 OK", "", "ok")
		}
		return rig.Response("401 Unauthorized", "X-Mine: 1\r\n"+line+"\r\n", "no")
	})
	g := start(t, "", "handle_path /base/* {\nauthenticated_api http://"+api.Addr+" {\nname base\n"+block+"\n}\n}\n"+
		"handle_path /named/* {\nauthenticated_api {\nname named\n"+block+"\n}\nreverse_proxy "+api.Addr+" {\ntransport authenticated_api {\ndatasource named\n}\n}\n}\n"+
		"handle_path /other/* {\nauthenticated_api {\nname other\n"+block+"\n}\nreverse_proxy "+api.Addr+"\n}\n")
	c := &h1Client{addr: g.plain}
	defer c.Close()
	for _, prefix := range []string{"/base", "/named", "/other"} {
		local := strings.HasPrefix(wanted, "/") && !strings.HasPrefix(wanted, "//") || strings.HasPrefix(wanted, "</")
		for kind, header := range map[string]func(reply) http.Header{
			"answer":   func(r reply) http.Header { return r.header },
			"interim":  func(r reply) http.Header { return append(r.interim, nil)[0] },
			"trailers": func(r reply) http.Header { return r.trailer },
		} {
			want := wanted
			if prefix == "/base" && kind != "trailers" && slices.Contains([]string{"Location", "Link", "Azure-Asyncoperation"}, name) && local {
				want = strings.Replace(want, "/", prefix+"/", 1) // it is mapped
			}
			r := c.do(request{target: prefix + "/" + kind})
			h := header(r)
			if kind != "trailers" && h.Get("X-Mine") != "1" {
				t.Fatalf("%s: the client got %d %v %v %v", prefix+"/"+kind, r.status, r.err, r.header, r.interim)
			}
			if got := strings.Join(h.Values(name), "|"); got != want {
				t.Errorf("%s: the client got %s: %q, want %q", prefix+"/"+kind, name, got, want)
			}
		}
	}
}

// TestSignatureInAnswers sends back the signature, and the file's old content after it has been
// read again.
func TestSignatureInAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("canary-old-4411"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := rig.NewAPI(t, nil)
	api.Answer = func(request string) string {
		_, signature, _ := strings.Cut(request, "X-Appsmith-Signature: ")
		signature, _, _ = strings.Cut(signature, "\r\n")
		echo := fmt.Sprintf("X-Mine: 1\r\nX-Signature: %s\r\nX-Old: canary-old-4411\r\nX-New: canary-new-5522\r\n", signature)
		if strings.Contains(request, "canary-old-4411") {
			return rig.Response("401 Unauthorized", echo, "no")
		}
		return rig.Response("200 OK", echo, "ok")
	}
	g := start(t, "", "authenticated_api http://"+api.Addr+" {\nauth bearer {file."+file+"}\nsignature 0123456789abcdef0123456789abcdef {\nclaim sub {http.request.uri.path}\n}\n}")
	c := &h1Client{addr: g.plain}
	defer c.Close()
	if err := os.WriteFile(file, []byte("canary-new-5522"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := c.do(request{target: "/x"})
	if r.status != 200 || r.header.Get("X-Mine") != "1" {
		t.Fatalf("the client got %d %v", r.status, r.header)
	}
	for _, name := range []string{"X-Signature", "X-Old", "X-New"} {
		if got := r.header.Values(name); len(got) > 0 {
			t.Errorf("the client got %s: %q", name, got)
		}
	}
}
