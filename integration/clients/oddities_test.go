// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const plain = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"

// oddities are some hundreds of requests and answers, one thing odd about each.
func oddities() []odd {
	var all []odd
	add := func(name, request, answer string) {
		if len(name) > 80 {
			name = name[:60] + "…" + name[len(name)-20:]
		}
		all = append(all, odd{name, request, answer})
	}
	ok := rig.OK("ok")

	for _, method := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "COPY", "LOCK", "REPORT", "SEARCH",
		"QUERY", "M-SEARCH", "PURGE", "get", "Get", "BREW", "!#$%&'*+-.^_`|~", strings.Repeat("LONG", 50), "PRI",
	} {
		add("method "+method, method+" /m HTTP/1.1\r\nHost: {host}\r\n\r\n", ok)
		for framing, body := range map[string]string{
			"length": "Content-Length: 4\r\n\r\nbody", "no length": "Content-Length: 0\r\n\r\n",
			"chunks": "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		} {
			add("method "+method+" with "+framing, method+" /m HTTP/1.1\r\nHost: {host}\r\n"+body, ok)
		}
	}

	add("method OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n", ok)
	for _, target := range targets {
		add("target "+target, "GET "+target+" HTTP/1.1\r\nHost: {host}\r\n\r\n", ok)
	}
	for _, query := range queries {
		add("query "+query, "GET /q?"+query+" HTTP/1.1\r\nHost: {host}\r\n\r\n", ok)
	}
	for _, field := range requestFields {
		add("request "+field, "GET /f HTTP/1.1\r\nHost: {host}\r\n"+strings.ReplaceAll(field, " & ", "\r\n")+"\r\n\r\n", ok)
	}
	for name, body := range bodies {
		add("body "+name, "POST /b HTTP/1.1\r\nHost: {host}\r\n"+body, ok)
	}
	for name, head := range versions {
		add("version "+name, head, ok)
	}

	for _, status := range statuses {
		add("status "+status, plain, rig.Response(status, "", "body"))
		code, _, _ := strings.Cut(status, " ")
		add("status "+status+" without body", plain, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nX-Status: "+code+"\r\n\r\n")
		add("status "+status+" to HEAD", strings.Replace(plain, "GET", "HEAD", 1), "HTTP/1.1 "+status+"\r\nContent-Length: 4\r\n\r\n")
	}
	for _, status := range []string{"204 No Content", "304 Not Modified", "205 Reset Content"} {
		add("status "+status+" bare", plain, "HTTP/1.1 "+status+"\r\nETag: \"1\"\r\n\r\n"+rig.HangUp)
	}
	for _, field := range answerFields {
		add("answer "+field, plain, rig.Response("200 OK", strings.ReplaceAll(field, " & ", "\r\n")+"\r\n", "body"))
	}
	for _, place := range locations {
		add("redirect "+place, "GET /r/x?y HTTP/1.1\r\nHost: {host}\r\n\r\n", rig.Response("302 Found", "Location: "+place+"\r\n", ""))
	}
	for i, body := range sniffed {
		add(fmt.Sprint("sniffed ", i), plain, rig.Response("200 OK", "", body))
		add(fmt.Sprint("sniffed ", i, " empty type"), plain, rig.Response("200 OK", "Content-Type:\r\n", body))
	}
	for name, answer := range framings {
		// Whether an answer of unknown length is given a type by its first bytes is a matter of time,
		// in reverse_proxy too.
		answer = strings.Replace(answer, " 200 OK\r\n", " 200 OK\r\nContent-Type: text/plain\r\n", 1)
		add("framing "+name, plain, answer)
	}
	for name, c := range switches {
		add("switch "+name, c[0], c[1])
	}
	return all
}

var targets = []string{
	"/", "*", "//", "///a", "//a//b//", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/.", "/a/..", "/a/.", "/...", "/.../a", "/..a", "/a..", "/.a", "/.#x",
	"/.%23x", "/.;x", "/..;/a", "/.%3Fx", "/%2e", "/%2e%2e", "/%2e%2e/a", "/%252e%252e/a", "/a%2fb", "/a%2Fb", "/a%252Fb", "/a%5cb", "/a\\b", "/a\\..\\b", "/..\\a",
	"/%5c..%5ca", "/%00", "/a%00b", "/%", "/%zz", "/%2", "/a%20b", "/a+b", "/%2B", "/%C3%A9", "/\xc3\xa9", "/\xff", "/%FF", "/%ff", "/~a", "/%7Ea", "/a;b=c",
	"/a;", "/;", "/a:b", "/a@b", "/a,b", "/a!b", "/a$b", "/a'b", "/a(b)", "/a*b", "/a=b&c", "/a|b", "/a\"b", "/a<b>", "/a^b", "/a`b", "/a{b}", "/a[b]", "/{env.HOME}",
	"/%7Benv.HOME%7D", "/a%0Ab", "/a%0D%0AX:y", "/a%09b", "/a%7Fb", "/?", "/??", "/???a", "/?a?b", "/?a=b#c", "/#a", "/a%3Fb", "/a%23b", "/index.html", "/a.php/b",
	"http://{host}/abs", "http://{host}", "http://{host}?q", "http://other.example.com/abs", "https://{host}/abs", "HTTP://{host}/abs", "ftp://{host}/a",
	"http://{host}/a/../b", "http://user:pw@{host}/abs", "/" + strings.Repeat("a", 3000), "/" + strings.Repeat("a/", 500), "", "a", "?a", ":80/x", "/a b", "{host}",
}

var queries = []string{
	"", "a", "a=", "=a", "=", "&", "&&", "a&b", "a=1&a=2", "a=1;b=2", ";", "a=b=c", "a=%20", "a=+", "a=%2B", "a=%zz", "a=%", "%61=b", "a[]=1&a[]=2", "a[b]=c", "a.b=c", "a=b?c",
	"a=/../", "a=..", "?", "a=\xc3\xa9", "a=%C3%A9", "a=%00", "a=%0A", "a={x}", "a={env.HOME}", "a=%7Bx%7D", "a=b%26c", "a=b&amp;c=d", "a='b'", "a=\"b\"", "a=<b>", "a=b|c", "a=b\\c",
	"a=b^c", "access_token=x", "api_key=x", "A=1&a=2", strings.Repeat("a=1&", 300), "a=" + strings.Repeat("b", 3000), "a=http://x.example.com/?b=c", "a=b#c",
}

// requestFields has lines of a head, those of one request with & between them.
var requestFields = []string{
	"X-A: b", "x-a: b", "X-A:b", "X-A:  b", "X-A: b  ", "X-A:\tb", "X-A:", "X-A: ", "X-A: b & X-A: c", "X-A: b & x-a: c", "X-A: b, c", "X-A: \xc3\xa9", "X-A: \xff", "X-A: \"q\\\"q\"",
	"X-A: {env.HOME}", "X-A: {http.request.host}", "X_A: b", "X.A: b", "X~A: b", "X!A: b", "1: b", "X-" + strings.Repeat("A", 300) + ": b", "X-A: " + strings.Repeat("b", 5000),
	"Accept: */*", "Accept: a/b;q=0.5, c/d", "Accept-Encoding: gzip", "Accept-Encoding: identity", "Accept-Encoding:", "Accept-Encoding: br, gzip;q=0", "Accept-Language: de",
	"Accept-Charset: utf-8", "Authorization: Basic YTpi", "Authorization: Bearer x", "authorization: x", "Authorization:", "Authorization: a & Authorization: b", "Proxy-Authorization: Basic YTpi",
	"Cookie: a=b", "Cookie: a=b & Cookie: c=d", "Cookie2: x", "User-Agent: x/1", "User-Agent:", "User-Agent: a & User-Agent: b", "Referer: http://x.example.com/", "Origin: http://{host}",
	"Origin: http://evil.example.com", "Origin: null", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors & Sec-Fetch-Dest: empty", "Sec-CH-UA: x", "Sec-GPC: 1", "DNT: 1",
	"Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: x", "X-Forwarded-Prefix: /x", "X-Real-IP: 1.2.3.4", "X-Client-IP: 1.2.3.4", "True-Client-IP: 1.2.3.4",
	"CF-Connecting-IP: 1.2.3.4", "Via: 1.1 x", "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Max-Forwards: 0",
	"Range: bytes=0-1", "Range: x", "If-Range: \"e\"", "If-None-Match: \"e\"", "If-None-Match: W/\"e\", *", "If-Match: *", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", "If-Unmodified-Since: x",
	"Cache-Control: no-cache", "Pragma: no-cache", "Connection: close", "Connection: keep-alive", "Connection: X-A & X-A: b", "Connection: close, X-A & X-A: b", "Connection: Authorization & Authorization: x",
	"Connection: Host", "Connection: Content-Type & Content-Type: a/b", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "TE: deflate", "TE: trailers & Connection: TE", "Trailer: X-A",
	"Upgrade: h2c", "Upgrade: foo & Connection: Upgrade", "Upgrade-Insecure-Requests: 1", "Expect: 100-continue", "Expect: 200-ok", "Expect:", "Early-Data: 1", "Content-Type: a/b", "Content-Type:",
	"Content-Encoding: gzip", "Content-Length: 0", "Content-Length: 00", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "From: a@example.com", "Host: x", "HTTP2-Settings: AAAA", "Destination: http://{host}/to",
	"Destination: /to", "Depth: infinity", "Overwrite: F", "If: (<opaquelocktoken:a>)", "Lock-Token: <opaquelocktoken:a>", "Link: <http://{host}/a>; rel=x", "Prefer: return=minimal", "Priority: u=1, i",
	"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b", "baggage: a=b", "grpc-timeout: 1S", "X-Request-Id: 1", "X-Api-Key: x", "Access-Control-Request-Method: PUT",
	"Idempotency-Key: 1", "X-Accel-Internal: x", "X-Sendfile: x", "Proxy: http://x.example.com", "Location: http://{host}/a", "Server: x", "Set-Cookie: a=b", "Status: 500", "Warning: 199 - x",
	"Alt-Used: x", "Content-MD5: x", "Digest: x", "Signature: x", "Signature-Input: x", "X-Amz-Date: x", "Surrogate-Capability: x", "SOAPAction: \"x\"", "X-Requested-With: XMLHttpRequest",
	"Accept-Language: de & Accept-Encoding: gzip & User-Agent: Mozilla/5.0", "X-A: a & X-B: b & X-C: c & X-A: d",
}

const chunked = "Transfer-Encoding: chunked\r\n"

var bodies = map[string]string{
	"none": "\r\n", "length": "Content-Length: 2\r\n\r\nab", "length twice": "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", "lengths in a list": "Content-Length: 2, 2\r\n\r\nab",
	"length with a zero": "Content-Length: 02\r\n\r\nab", "length with a plus": "Content-Length: +2\r\n\r\nab", "length and chunks": "Content-Length: 2\r\n" + chunked + "\r\n2\r\nab\r\n0\r\n\r\n",
	"two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "large": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("x", 1<<20)),
	"one chunk": chunked + "\r\n2\r\nab\r\n0\r\n\r\n", "many chunks": chunked + "\r\n" + strings.Repeat("1\r\na\r\n", 300) + "0\r\n\r\n", "no chunks": chunked + "\r\n0\r\n\r\n",
	"chunk with an extension": chunked + "\r\n2;a=b\r\nab\r\n0\r\n\r\n", "chunk with zeros": chunked + "\r\n0002\r\nab\r\n000\r\n\r\n", "trailer": "Trailer: X-T\r\n" + chunked + "\r\n2\r\nab\r\n0\r\nX-T: t\r\n\r\n",
	"unannounced trailer": chunked + "\r\n2\r\nab\r\n0\r\nX-T: t\r\n\r\n", "trailer Authorization": "Trailer: Authorization\r\n" + chunked + "\r\n2\r\nab\r\n0\r\nAuthorization: t\r\n\r\n",
	"trailer Cookie": "Trailer: Cookie\r\n" + chunked + "\r\n2\r\nab\r\n0\r\nCookie: t\r\n\r\n", "two trailers": "Trailer: X-T, X-U\r\n" + chunked + "\r\n2\r\nab\r\n0\r\nX-T: t\r\nX-U: u\r\nX-T: v\r\n\r\n",
	"Chunked": "Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "identity": "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
	"Expect with a length": "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab", "Expect with chunks": "Expect: 100-continue\r\n" + chunked + "\r\n2\r\nab\r\n0\r\n\r\n",
	"form": "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=b&c=d", "no type": "Content-Type:\r\nContent-Length: 2\r\n\r\nab",
	"encoded": "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", "nothing": "Content-Length: 0\r\n\r\n", "above the replay": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 100<<10, strings.Repeat("y", 100<<10)),
	"chunks above the replay": chunked + "\r\n" + strings.Repeat("400\r\n"+strings.Repeat("z", 1024)+"\r\n", 100) + "0\r\n\r\n",
}

var versions = map[string]string{
	"1.0": "GET / HTTP/1.0\r\n\r\n", "1.0 with Host": "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n", "1.0 kept": "GET / HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n",
	"1.0 POST": "POST / HTTP/1.0\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nab", "1.2": "GET / HTTP/1.2\r\nHost: {host}\r\n\r\n", "2.0": "GET / HTTP/2.0\r\nHost: {host}\r\n\r\n", "0.9": "GET /\r\n\r\n",
	"without Host": "GET / HTTP/1.1\r\n\r\n", "empty Host": "GET / HTTP/1.1\r\nHost:\r\n\r\n", "two Hosts": "GET / HTTP/1.1\r\nHost: {host}\r\nHost: x\r\n\r\n", "bad Host": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"LF alone": "GET / HTTP/1.1\nHost: {host}\nX-A: b\n\n", "lines in front": "\r\n\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n", "two blanks": "GET  / HTTP/1.1\r\nHost: {host}\r\n\r\n",
	"folded field": "GET / HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n c\r\n\r\n", "blank before the colon": "GET / HTTP/1.1\r\nHost: {host}\r\nX-A : b\r\n\r\n", "no colon": "GET / HTTP/1.1\r\nHost: {host}\r\nX-A\r\n\r\n",
	"NUL in a value": "GET / HTTP/1.1\r\nHost: {host}\r\nX-A: a\x00b\r\n\r\n", "CR in a value": "GET / HTTP/1.1\r\nHost: {host}\r\nX-A: a\rb\r\n\r\n", "Host with a dot": "GET / HTTP/1.1\r\nHost: localhost.\r\n\r\n",
	"other Host": "GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n", "two requests": plain + "GET /second HTTP/1.1\r\nHost: {host}\r\n\r\n",
	"100 fields": "GET / HTTP/1.1\r\nHost: {host}\r\n" + strings.Repeat("X-A: b\r\n", 100) + "\r\n", "250 fields": "GET / HTTP/1.1\r\nHost: {host}\r\n" + strings.Repeat("X-A: b\r\n", 250) + "\r\n",
	"300 fields": "GET / HTTP/1.1\r\nHost: {host}\r\n" + strings.Repeat("X-A: b\r\n", 300) + "\r\n", "1000 parameters": "GET /?" + strings.Repeat("a&", 1000) + " HTTP/1.1\r\nHost: {host}\r\n\r\n",
}
