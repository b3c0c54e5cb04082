// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

var statuses = []string{
	"200 OK", "200 Fine", "200 ", "200 \xc3\xa9", "201 Created", "202 Accepted", "203 Non-Authoritative Information", "206 Partial Content", "207 Multi-Status", "226 IM Used", "299 Odd", "300 Multiple Choices",
	"301 Moved Permanently", "302 Found", "303 See Other", "305 Use Proxy", "307 Temporary Redirect", "308 Permanent Redirect", "400 Bad Request", "401 Unauthorized", "402 Payment Required", "403 Forbidden",
	"404 Not Found", "404 Nothing here", "405 Method Not Allowed", "407 Proxy Authentication Required", "408 Request Timeout", "409 Conflict", "410 Gone", "412 Precondition Failed", "413 Too Large", "416 Range",
	"418 I'm a teapot", "421 Misdirected Request", "425 Too Early", "426 Upgrade Required", "429 Too Many Requests", "431 Fields", "444 No Response", "451 Law", "499 Client", "500 Internal Server Error", "501 Not Implemented",
	"502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "505 Version", "511 Network", "520 Web Server", "599 Odd", "600 Odd", "999 Odd",
}

// answerFields has lines of a head, those of one answer with & between them.
var answerFields = []string{
	"X-A: b", "x-a: b", "X-A:", "X-A: b & X-A: c", "X-A: b & x-a: d", "X-A: \xc3\xa9", "X-A: \xff", "X-A: " + strings.Repeat("b", 5000), "X_A: b", "X.A: b", "Server: nginx", "Server:", "Server: a & Server: b", "Date: Thu, 01 Jan 1970 00:00:00 GMT",
	"Via: 1.1 x", "X-Powered-By: x", "Age: 1", "Cache-Control: no-store", "Cache-Control: public, s-maxage=1", "Expires: 0", "ETag: \"e\"", "ETag: W/\"e\"", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", "Vary: *", "Vary: Accept & Vary: Origin",
	"Content-Type: text/html", "Content-Type: text/html; charset=utf-8", "Content-Type: application/json", "Content-Type: image/svg+xml", "Content-Type: a/b & Content-Type: c/d", "Content-Type: x", "Content-Type: text/event-stream",
	"Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding:", "Content-Language: de", "Content-Disposition: attachment; filename=\"\xc3\xa9\"", "Content-Range: bytes 0-3/10", "Content-Security-Policy: default-src 'self'",
	"Content-Location: /a", "Content-Location: http://{api}/a", "Content-MD5: x", "Accept-Ranges: bytes", "Allow: GET", "Set-Cookie: a=b", "Set-Cookie: a=b; Path=/; HttpOnly & Set-Cookie: c=d", "Set-Cookie2: a=b", "WWW-Authenticate: Basic realm=x",
	"WWW-Authenticate: Bearer error=\"invalid_token\"", "WWW-Authenticate: Digest realm=x & WWW-Authenticate: Bearer", "WWW-Authenticate: Bearer realm=\"a\", Basic realm=\"b\"", "WWW-Authenticate: Custom abc==", "Proxy-Authenticate: Basic realm=x",
	"Authentication-Info: x", "Strict-Transport-Security: max-age=1", "Clear-Site-Data: \"*\"", "Alt-Svc: h3=\":443\"", "Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: X-A", "Timing-Allow-Origin: *", "Cross-Origin-Resource-Policy: cross-origin",
	"Cross-Origin-Opener-Policy: same-origin", "Referrer-Policy: no-referrer", "Permissions-Policy: x", "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "X-XSS-Protection: 0", "X-Accel-Redirect: /a", "X-Accel-Buffering: no", "X-Accel-Expires: 1",
	"X-Sendfile: /etc/passwd", "X-Lighttpd-Send-File: /a", "Service-Worker-Allowed: /", "SourceMap: /a.map", "X-SourceMap: /a.map", "Report-To: {}", "Reporting-Endpoints: a=\"/b\"", "NEL: {}", "Accept-CH: DPR", "Critical-CH: DPR", "Origin-Agent-Cluster: ?1",
	"Expect-CT: x", "Public-Key-Pins: x", "Link: </a>; rel=next", "Link: <http://{api}/a>; rel=next", "Link: <http://{api}/a?page=2>; rel=\"next\", <http://{api}/a?page=3>; rel=\"last\"", "Link: <https://x.example.com/a>; rel=x", "Link: <a>; rel=x & Link: <b>; rel=y",
	"Link: <//x.example.com/a>; rel=x", "Link: broken", "Link: <http://{api}/a>;rel=next", "Refresh: 5", "Refresh: 5; url=/a", "Refresh: 0;URL=http://{api}/a", "Refresh: 5; url=\"http://{api}/a\"", "Location: http://{api}/a", "Location: /a",
	"Retry-After: 5", "Trailer: X-T", "Connection: close", "Connection: keep-alive", "Connection: X-A & X-A: b", "Keep-Alive: timeout=5", "Proxy-Connection: close", "Upgrade: h2c", "Transfer-Encoding: identity", "TE: trailers", "Host: x", "Authorization: x",
	"Cookie: a=b", "X-Forwarded-For: 1.2.3.4", "P3P: x", "Preference-Applied: return=minimal", "Destination: /a", "Lock-Token: <opaquelocktoken:a>", "DAV: 1, 2", "MS-Author-Via: DAV", "Sec-WebSocket-Accept: x", "SOAPAction: x", "Early-Data: 1",
	"X-Permitted-Cross-Domain-Policies: all", "Speculation-Rules: \"/a\"", "X-Robots-Tag: none", "X-Request-Id: 1", "X-Ratelimit-Remaining: 1", "RateLimit: limit=1", "Deprecation: @1", "Sunset: Thu, 01 Jan 1970 00:00:00 GMT", "Warning: 199 - x", "Digest: x",
	"Signature: x", "X-Goog-Upload-URL: http://{api}/u", "Operation-Location: http://{api}/o", "Azure-AsyncOperation: http://{api}/o", "OData-EntityId: http://{api}/o", "Content-Base: http://{api}/", "URI: <http://{api}/a>", "X-Pagination: {\"next\":\"http://{api}/a\"}",
	"Atomic: http://{api}/a", "Tus-Resumable: 1.0.0", "Upload-Offset: 5", "Mcp-Session-Id: a", "Docker-Upload-UUID: a", "X-Elastic-Product: Elasticsearch", "Set-Login: logged-in", "Server-Timing: a;dur=1", "Proxy-Status: x", "Cache-Status: x",
}

var locations = []string{
	"/a", "/", "a", "./a", "../a", "?a", "#a", "", "//x.example.com/a", "//{api}/a", "http://{api}", "http://{api}/", "http://{api}/a", "http://{api}/a?b=c#d", "HTTP://{api}/a", "https://{api}/a", "http://x.example.com/a", "https://x.example.com/a",
	"http://user:pw@{api}/a", "http://{api}:80/a", "/a%2Fb", "/a b", "/\xc3\xa9", "/%C3%A9", "/a/../b", "/..", "//", "///a", "/\\x.example.com", "\\\\x", "javascript:alert(1)", "mailto:a@example.com", "urn:a:b", "http:a", "http:///a", "http://[::1]/a",
	"http://%zz/", "/a?b={x}", "/a;b", "/r/x?y", "http://{api}/r/x?y", " /a", "/a ", "myapp://callback?code=1",
}

var sniffed = []string{
	"", "plain", "<html>", "<!DOCTYPE html><p>", "<?xml version=\"1.0\"?>", "{\"a\":1}", "\x89PNG\r\n\x1a\n", "GIF89a", "%PDF-1.4", "\x1f\x8b\x08", "PK\x03\x04", "\x00\x01\x02", "\xef\xbb\xbftext", "<svg xmlns=\"http://www.w3.org/2000/svg\">",
	strings.Repeat("a", 600), "data: a\n\n",
}

var framings = map[string]string{
	"chunks":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"many chunks":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\na\r\n", 100) + "0\r\n\r\n",
	"no chunks":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"large chunks":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("a", 4096)+"\r\n", 20) + "0\r\n\r\n",
	"until the end":        "HTTP/1.1 200 OK\r\n\r\nbody" + rig.HangUp,
	"nothing until an end": "HTTP/1.1 200 OK\r\n\r\n" + rig.HangUp,
	"closed":               "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody" + rig.HangUp,
	"1.0":                  "HTTP/1.0 200 OK\r\n\r\nbody" + rig.HangUp,
	"1.0 with a length":    "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody" + rig.HangUp,
	"trailer":              "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-T: t\r\n\r\n",
	"unannounced trailer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-T: t\r\n\r\n",
	"trailer Set-Cookie":   "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nSet-Cookie: t=u\r\n\r\n",
	"trailer Grpc-Status":  "HTTP/1.1 200 OK\r\nTrailer: Grpc-Status, Grpc-Message\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nGrpc-Status: 0\r\nGrpc-Message: x\r\n\r\n",
	"short":                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody" + rig.HangUp,
	"broken chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody" + rig.HangUp,
	"cut chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nbody" + rig.HangUp,
	"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody" + rig.HangUp,
	"length and chunks":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"no answer":            "",
	"nonsense":             "nonsense\r\n\r\n" + rig.HangUp,
	"half a head":          "HTTP/1.1 200 OK\r\nX-A: b" + rig.HangUp,
	"no reason":            "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody",
	"LF alone":             "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
	"100 first":            "HTTP/1.1 100 Continue\r\n\r\n" + rig.OK("body"),
	"102 first":            "HTTP/1.1 102 Processing\r\n\r\n" + rig.OK("body"),
	"103 first":            "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + rig.OK("body"),
	"103 twice":            "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-B: c\r\n\r\n" + rig.OK("body"),
	"103 with an absolute": "HTTP/1.1 103 Early Hints\r\nLink: <http://{api}/a>; rel=preload\r\n\r\n" + rig.OK("body"),
	"103 with a cookie":    "HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nServer: x\r\nVia: y\r\n\r\n" + rig.OK("body"),
	"199 first":            "HTTP/1.1 199 Odd\r\nX-A: b\r\n\r\n" + rig.OK("body"),
	"gzip":                 rig.Response("200 OK", "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00"),
	"broken gzip":          rig.Response("200 OK", "Content-Encoding: gzip\r\n", "no gzip"),
	"100 fields":           rig.Response("200 OK", strings.Repeat("X-A: b\r\n", 100), "body"),
	"1000 fields":          rig.Response("200 OK", strings.Repeat("X-A: b\r\n", 1000), "body"),
	"large":                rig.OK(strings.Repeat("x", 1<<20)),
}

// handshake is a request that asks for another protocol.
func handshake(protocol, fields string) string {
	return "GET /u HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n" + fields + "\r\n"
}

const socketFields = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

var switches = map[string][2]string{
	"websocket": {
		handshake("websocket", socketFields),
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
	},
	"websocket refused": {handshake("websocket", socketFields), rig.Response("403 Forbidden", "", "no")},
	"websocket with an own Origin": {
		handshake("websocket", socketFields+"Origin: http://{host}\r\n"), rig.Response("403 Forbidden", "", "no"),
	},
	"websocket with an Origin": {handshake("websocket", socketFields+"Origin: http://x.example.com\r\n"), rig.Response("403 Forbidden", "", "no")},
	"websocket with a protocol": {
		handshake("websocket", socketFields+"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a\r\nSet-Cookie: a=b\r\n\r\n",
	},
	"other":             {handshake("foo", ""), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"},
	"other than asked":  {handshake("foo", ""), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bar\r\n\r\n"},
	"unasked":           {plain, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"},
	"h2c":               {handshake("h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), rig.OK("no")},
	"426":               {plain, rig.Response("426 Upgrade Required", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "no")},
	"ignored":           {handshake("foo", ""), rig.OK("no")},
	"CONNECT authority": {"CONNECT x.example.com:443 HTTP/1.1\r\nHost: x.example.com:443\r\n\r\n", rig.OK("no")},
}
