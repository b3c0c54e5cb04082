// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// sigV4Storage runs versitygw, which verifies each signature, with the bucket bkt. It listens with
// TLS if there is a certificate.
func sigV4Storage(t *testing.T, certificate *rig.Certificate) (url string) {
	t.Helper()
	path := program(t, "versitygw", "make clients installs it")
	w := newWorld(t, "ROOT_ACCESS_KEY=AKIDTEST", "ROOT_SECRET_KEY=s3cr3t/of+the=gateway")
	data := filepath.Join(w.dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "bkt"), 0o700); err != nil {
		t.Fatal(err)
	}
	backend := rig.Free(t)
	args, scheme := []string{"--port", backend, "--quiet"}, "http://"
	if certificate != nil {
		args, scheme = append(args, "--cert", certificate.File, "--key", certificate.KeyFile), "https://"
	}
	w.begin(t, backend, path, append(args, "posix", "--sidecar", sidecar(t), data)...)
	return scheme + backend
}

const sigV4Lines = "signature aws_sigv4 {\nservice s3\nregion us-east-1\naccess_key_id AKIDTEST\nsecret_access_key s3cr3t/of+the=gateway\n}\n"

// sigV4Requests are requests without a signature, for that bucket. Each is one that somebody
// sends.
var sigV4Requests = []struct{ name, request string }{
	{"put", "PUT /bkt/key HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"},
	{"get", "GET /bkt/key HTTP/1.1\r\n\r\n"},
	{"range", "GET /bkt/key HTTP/1.1\r\nRange: bytes=1-2\r\n\r\n"},
	{"conditional", "GET /bkt/key HTTP/1.1\r\nIf-Match: *\r\nAccept-Encoding: gzip\r\nUser-Agent: x\r\n\r\n"},
	{"head", "HEAD /bkt/key HTTP/1.1\r\n\r\n"},
	{"empty body", "PUT /bkt/empty HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
	{"chunked", "PUT /bkt/chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"},
	{"chunked, empty", "PUT /bkt/nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{"expect", "PUT /bkt/expected HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"},
	{"the window", "PUT /bkt/window HTTP/1.1\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("w", 1<<16)},
	{"plus", "PUT /bkt/a+b HTTP/1.1\r\nContent-Length: 4\r\n\r\nplus"},
	{"blank", "PUT /bkt/a%20b HTTP/1.1\r\nContent-Length: 5\r\n\r\nblank"},
	{"unicode", "PUT /bkt/%C3%BC%E1%88%B4 HTTP/1.1\r\nContent-Length: 1\r\n\r\nu"},
	{"escaped slash", "PUT /bkt/a%2Fb HTTP/1.1\r\nContent-Length: 1\r\n\r\ns"},
	{"empty segments", "GET /bkt//double HTTP/1.1\r\n\r\n"},
	{"marks", "PUT /bkt/~!$'()*,:@=&;-_. HTTP/1.1\r\nContent-Length: 1\r\n\r\nm"},
	{"escaped marks", "PUT /bkt/%7e%21%24%3A%3d%41 HTTP/1.1\r\nContent-Length: 1\r\n\r\nm"},
	{"list", "GET /bkt?list-type=2&prefix=a%20b&delimiter=%2F HTTP/1.1\r\n\r\n"},
	{"list, disordered", "GET /bkt/?prefix=a+b&list-type=2&max-keys=5&encoding-type=url HTTP/1.1\r\n\r\n"},
	{"list, lower-case escapes", "GET /bkt/?prefix=%c3%bc%2f&list-type=2 HTTP/1.1\r\n\r\n"},
	{"subresource", "GET /bkt?versioning HTTP/1.1\r\n\r\n"},
	{"subresource with an equals sign", "GET /bkt?uploads= HTTP/1.1\r\n\r\n"},
	{"empty parameters", "GET /bkt?&list-type=2&& HTTP/1.1\r\n\r\n"},
	{"metadata", "PUT /bkt/meta HTTP/1.1\r\nX-Amz-Meta-A:   one   two  \r\nx-amz-meta-b: 1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\nm"},
	{"metadata twice", "PUT /bkt/twice HTTP/1.1\r\nX-Amz-Meta-A: 1\r\nX-Amz-Meta-A: 2\r\nContent-Length: 1\r\n\r\nm"},
	{"a signature of the client's own", "GET /bkt/key HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 x\r\nX-Amz-Date: 20150830T123600Z\r\n" +
		"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nX-Amz-Security-Token: t\r\n\r\n"},
	{"a signature in the query", "GET /bkt/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Expires=1&X-Amz-SignedHeaders=host&x-amz-signature=c HTTP/1.1\r\n\r\n"},
	{"copy", "PUT /bkt/copy HTTP/1.1\r\nX-Amz-Copy-Source: /bkt/key\r\nContent-Length: 0\r\n\r\n"},
	{"delete", "DELETE /bkt/copy HTTP/1.1\r\n\r\n"},
}

// TestSigV4 has the gateway sign requests of all kinds, and versitygw verify them.
func TestSigV4(t *testing.T) {
	certificate := rig.NewCertificate(t)
	for _, tt := range []struct {
		name  string
		api   string
		lines string
	}{
		{"clear", sigV4Storage(t, nil), ""},
		{"TLS", sigV4Storage(t, certificate), "self_signed_cert " + certificate.File + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := service{lines: sigV4Lines + "header X-Amz-Meta-Gateway set\nquery x-id gateway\n" + tt.lines}
			for _, f := range []form{atRoot, belowPath} {
				w := s.gateway(t, f, tt.api)
				addr := "127.0.0.1" + w.host()[len("localhost"):]
				for _, r := range sigV4Requests {
					line, rest, _ := strings.Cut(r.request, "\r\n")
					method, target, _ := strings.Cut(line, " ")
					res := rig.Exchange(t, addr, method+" "+f.path+target+"\r\nHost: "+w.host()+"\r\n"+rest, 1)[0]
					want := res.StatusCode < 300
					if r.name == "empty segments" || r.name == "trailer" {
						// The first is no object's name there, and for the second it wants a
						// length. Both come after the signature was verified.
						want = res.StatusCode == 404 || res.StatusCode == 411 || want
					}
					if !want || strings.Contains(res.Text, "Signature") {
						t.Errorf("%s, %s: %d %s", f.name, r.name, res.StatusCode, res.Text)
					}
				}
			}
		})
	}
}

// TestSigV4Twin compares what comes of requests that curl signs for versitygw with what comes of
// the same requests that the gateway signs.
func TestSigV4Twin(t *testing.T) {
	curl := program(t, "curl", "Debian's package curl has it")
	s := service{start: func(t *testing.T) string { return sigV4Storage(t, nil) }, lines: sigV4Lines}
	compare(t, "curl-sigv4", s, func(t *testing.T, w way) transcript {
		c := newWorld(t)
		c.write(t, "file", noise(60<<10))
		common := []string{"-sS", "-i", "--path-as-is", "--max-time", "20"}
		if w.direct() {
			common = append(common, "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", "AKIDTEST:s3cr3t/of+the=gateway",
				"-H", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD") // older ones add none
		}
		var tr transcript
		for _, args := range [][]string{
			{"-T", "file", "/bkt/file"},
			{"/bkt/file", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"},
			{"-I", "/bkt/file"},
			{"-d", "hello", "-X", "PUT", "/bkt/text%20file"},
			{"/bkt/text%20file"},
			{"/bkt?list-type=2&prefix=text"},
			{"-X", "DELETE", "/bkt/file"},
			{"/bkt/file"},
			{"-X", "PUT", "/another"},
			{"/bkt?uploads="},
		} {
			all := append([]string(nil), common...)
			for _, arg := range args {
				if strings.HasPrefix(arg, "/") && !strings.HasPrefix(arg, "/dev") {
					arg = w.url + arg
				}
				all = append(all, arg)
			}
			out, err := c.run(t, "", curl, all...)
			tr.note("curl "+strings.Join(args, " "), withoutIDs(answersOf(out)), err)
		}
		return tr
	})
}

var changing = regexp.MustCompile(`<(RequestId|HostId|CreationDate|LastModified|ETag)>[^<]*</[A-Za-z]*>`)

// withoutIDs drops what differs with each answer.
func withoutIDs(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = changing.ReplaceAllString(strings.TrimSpace(line), "<$1/>")
		name, val, field := strings.Cut(line, ": ")
		if name = http.CanonicalHeaderKey(name); field {
			line = name + ": " + val
		}
		if line != "" && !slices.Contains([]string{"Last-Modified", "X-Amz-Request-Id", "X-Amz-Id-2", "Connection"}, name) {
			kept = append(kept, line)
		}
	}
	slices.Sort(kept) // over HTTP/1.1 the case of names differs, and with it their order
	return strings.Join(kept, "\n")
}

// TestSigV4Large: a body larger than the window goes unsigned where that is allowed, and is
// refused elsewhere.
func TestSigV4Large(t *testing.T) {
	curl := program(t, "curl", "Debian's package curl has it")
	certificate := rig.NewCertificate(t)
	for _, tt := range []struct{ name, api, lines, want string }{
		{"clear", sigV4Storage(t, nil), "", "413"},
		{"clear, with a window", sigV4Storage(t, nil), "replay 2MiB\n", "200"},
		{"TLS", sigV4Storage(t, certificate), "self_signed_cert " + certificate.File + "\n", "200"},
	} {
		w := service{lines: sigV4Lines + tt.lines}.gateway(t, atRoot, tt.api)
		c := newWorld(t)
		c.write(t, "file", noise(1<<20))
		out, err := c.run(t, "", curl, "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "-T", "file", w.url+"/bkt/large")
		if out != tt.want || err != nil {
			t.Errorf("%s: %s, %v", tt.name, out, err)
		}
		if tt.want != "200" {
			continue
		}
		if got, err := c.run(t, "", curl, "-sS", "--max-time", "20", w.url+"/bkt/large"); got != noise(1<<20) || err != nil {
			t.Errorf("%s: %d bytes came back, %v", tt.name, len(got), err)
		}
	}
}
