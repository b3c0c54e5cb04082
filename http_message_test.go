// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// newMessageKey returns a key and its PEM.
func newMessageKey(t *testing.T) (ed25519.PublicKey, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, rig.KeyPEM(t, private)
}

var messageInput = regexp.MustCompile(`^sig1=(\(([^)]*)\);.*)$`)

// verifyMessage verifies a request by the text of RFC 9421, as far as these tests use it.
func verifyMessage(r *http.Request, body []byte, key ed25519.PublicKey) error {
	input := messageInput.FindStringSubmatch(r.Header.Get("Signature-Input"))
	if input == nil {
		return fmt.Errorf("Signature-Input: %q", r.Header["Signature-Input"])
	}
	var base strings.Builder
	for component := range strings.SplitSeq(input[2], " ") {
		path, query, _ := strings.Cut(r.RequestURI, "?")
		val := map[string]string{`"@method"`: r.Method, `"@authority"`: r.Host, `"@path"`: path, `"@query"`: "?" + query}[component]
		if component[1] != '@' {
			val = strings.Join(r.Header.Values(strings.Trim(component, `"`)), ", ")
		}
		base.WriteString(component + ": " + val + "\n")
	}
	base.WriteString(`"@signature-params": ` + input[1])
	sum, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Signature"), "sig1=:"), ":"))
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, []byte(base.String()), sum) {
		return errors.New("the signature is wrong for\n" + base.String())
	}
	hash := sha256.Sum256(body)
	want := "sha-256=:" + base64.StdEncoding.EncodeToString(hash[:]) + ":"
	if got := r.Header.Get("Content-Digest"); got != want && (got != "" || len(body) > 0) {
		return fmt.Errorf("Content-Digest: %q, want %q", got, want)
	}
	return nil
}

func verifyMessageText(t *testing.T, request string, key ed25519.PublicKey) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyMessage(r, body, key); err != nil {
		t.Errorf("%v\n%s", err, request)
	}
}

// TestHTTPMessageWire: what is signed is what is sent, the credential too.
func TestHTTPMessageWire(t *testing.T) {
	key, text := newMessageKey(t)
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/base {\nauth bearer t0ken\nheader X-Env prod\nquery tenant \"a b\"\n"+
		"signature http_message {\nkey "+rig.Save(t, text)+"\ncomponents @method @authority @path @query authorization x-env x-twice content-type content-digest content-length\n}\n}\n}")
	for _, target := range []string{"/", "/a+b", "/a%2Fb", "/%C3%BC", "//x//", "/~!$'()*,:@=&;-_.", "/x?b=2&a=1&a=0", "/x?a=%20+b&c=%zz&;", "/x?", "/x?acl"} {
		for _, request := range []string{
			"GET TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nX-Twice:  1 \r\nX-Twice: 2\r\n\r\n",
			"HEAD TARGET HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n",
			"POST TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nContent-Type: a; b\r\nContent-Length: 5\r\n\r\nhello",
			"POST TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
			"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nContent-Length: 0\r\n\r\n",
			"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
			"GET TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nSignature: sig1=:AAAA:\r\nsignature-input: sig1=()\r\nContent-Digest: sha-256=:AAAA:\r\n\r\n",
		} {
			replies := 1 + strings.Count(request, "Expect:")
			res := rig.Exchange(t, gateway, strings.Replace(request, "TARGET", target, 1), replies)[replies-1]
			if res.StatusCode != 200 {
				t.Errorf("%s: %d %s", target, res.StatusCode, res.Text)
				continue
			}
			sent := one(t, api)
			verifyMessageText(t, sent, key)
			if !strings.Contains(sent, `"authorization" "x-env"`) || strings.Contains(sent, "AAAA") {
				t.Errorf("sent\n%s", sent)
			}
			if strings.HasPrefix(sent, "PUT") && !strings.Contains(sent, "X-T: 1") && !strings.Contains(sent, `"content-length"`) {
				t.Errorf("no length in\n%s", sent)
			}
		}
	}
}

// TestHTTPMessageReplay: a replay is signed anew, with the key of that moment.
func TestHTTPMessageReplay(t *testing.T) {
	_, before := newMessageKey(t)
	key, after := newMessageKey(t)
	file := rig.Save(t, before)
	api := rig.NewAPI(t, func(request string) string {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err == nil && verifyMessage(r, []byte("body"), key) == nil {
			return rig.OK("ok")
		}
		return rig.Response("401 Unauthorized", "", "no")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nsignature http_message {\nkey "+file+"\nnonce\n}\n}\n}")
	if res := rig.Do(t, gateway, "PUT", "/x", "", "body"); res.StatusCode != 401 {
		t.Errorf("%d", res.StatusCode)
	}
	one(t, api)
	rig.Replace(t, file, after)
	wantOK(t, rig.Do(t, gateway, "PUT", "/x", "", "body"))
	if n := len(api.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestHTTPMessageLarge: a body that is covered and does not fit is refused; one that is not
// covered streams.
func TestHTTPMessageLarge(t *testing.T) {
	_, text := newMessageKey(t)
	file := rig.Save(t, text)
	api := rig.NewAPI(t, nil)
	for components, status := range map[string]int{"": 413, "components @method @path": 200} {
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nsignature http_message {\nkey "+file+"\n"+components+"\n}\nreplay 1000\n}\n}")
		res := rig.Do(t, gateway, "PUT", "/x", "", strings.Repeat("x", 1001))
		if n := len(api.Requests()); res.StatusCode != status || n != map[int]int{413: 0, 200: 1}[status] {
			t.Errorf("%q: %d, %d requests", components, res.StatusCode, n)
		}
	}
}

// TestHTTPMessageVersions: what is signed is what is sent, in each version of HTTP that an API may
// speak, with and without a body, and one whose length the client does not say.
func TestHTTPMessageVersions(t *testing.T) {
	key, text := newMessageKey(t)
	file := rig.Save(t, text)
	for _, version := range append(rig.Versions, rig.OverTLS) {
		t.Run(version, func(t *testing.T) {
			failed := make(chan error, 16)
			url, certificate := rig.Serve(t, version, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				err := verifyMessage(r, body, key)
				if proto := protoOfVersion(version); err == nil && r.Proto != proto {
					err = fmt.Errorf("the API is asked by %s, not %s", r.Proto, proto)
				}
				failed <- err
				_, _ = w.Write(body)
			}))
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api "+url+"/b {\nauth bearer t0ken\nheader X-Env prod\nquery tenant \"a b\"\n"+
				"signature http_message {\nkey "+file+"\ncomponents @method @authority @path @query authorization x-env cookie user-agent content-type "+
				"content-digest content-length\n}\n"+overVersion(version, certificate)+"}\n}")
			for _, tt := range []struct{ method, header, body string }{
				{"GET", "", ""},
				{"PUT", "Cookie: a=b\r\nCookie: c=d\r\nContent-Type: x\r\nUser-Agent: x\r\n", "hello"},
				{"POST", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"},
				{"DELETE", "", ""},
			} {
				head := tt.header
				if tt.body == "hello" {
					head += "Content-Length: 5\r\n"
				}
				res := rig.Exchange(t, gateway, tt.method+" /a+b%2F?x=%20&y HTTP/1.1\r\nHost: "+gateway+"\r\n"+head+"\r\n"+tt.body, 1)[0]
				if err := rig.Receive(t, failed, "a request"); err != nil || res.StatusCode != 200 || (res.Text != "hello" && tt.body != "") {
					t.Errorf("%s: %v; %d %s", tt.method, err, res.StatusCode, res.Text)
				}
			}
		})
	}
}

// overVersion returns the options for an API of rig.Serve.
func overVersion(version string, certificate *rig.Certificate) string {
	switch version {
	case rig.OverTLS:
		return "self_signed_cert " + certificate.File + "\ntransport http {\nversions 1.1\n}\n"
	case "h2c":
		return "transport http {\nversions h2c 2\n}\n"
	case "2", "3":
		return "self_signed_cert " + certificate.File + "\ntransport http {\nversions " + version + "\n}\n"
	default:
		return ""
	}
}

// protoOfVersion returns what a server of rig.Serve calls the version of a request.
func protoOfVersion(version string) string {
	return map[string]string{"1.1": "HTTP/1.1", rig.OverTLS: "HTTP/1.1", "2": "HTTP/2.0", "h2c": "HTTP/2.0", "3": "HTTP/3.0"}[version]
}
