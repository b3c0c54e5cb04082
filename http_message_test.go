// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
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

// TestHTTPMessageTLS: over TLS, HTTP/1.1 and HTTP/2, and as a bot.
func TestHTTPMessageTLS(t *testing.T) {
	certificate := rig.NewCertificate(t)
	key, text := newMessageKey(t)
	file := rig.Save(t, text)
	eachVersion(t, func(t *testing.T, major int) {
		failed := make(chan error, 16)
		api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}},
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				failed <- verifyMessage(r, body, key)
				_, _ = io.WriteString(w, r.Header.Get("Signature-Agent"))
			}))
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api https://"+api.addr+"/b {\nself_signed_cert "+certificate.File+
			"\nsignature http_message {\nkey "+file+"\n}\n}\n}")
		for _, body := range []string{"", "hello"} {
			rig.Do(t, gateway, "PUT", "/a+b?x=%20", "Cookie: a=b\r\nContent-Type: x\r\n", body)
			if err := rig.Receive(t, failed, "a request"); err != nil {
				t.Error(err)
			}
		}
	})
}
