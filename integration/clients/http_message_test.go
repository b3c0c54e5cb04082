// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// messageKey is a key for messages, and what the judge is told of it.
type messageKey struct {
	Alg string `json:"alg"`
	Key string `json:"key"`

	option string
}

func newMessageKey(t *testing.T, alg string) messageKey {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "hmac-sha256":
		secret := strings.ReplaceAll(rand.Text()+rand.Text(), "7", "x")
		return messageKey{alg, secret, "secret " + secret}
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa-p256-sha256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384-sha384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := rig.Save(t, rig.KeyPEM(t, key))
	return messageKey{alg, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "key " + file + "\nalgorithm " + alg}
}

// lastReply returns the final reply to a request, and its body. Of a client that expects one, a
// 100 may come before it: the gateway's, the API's, both, or none.
func lastReply(t *testing.T, addr, request string) (status int, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	for r := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		if res.StatusCode >= 200 {
			body, _ := io.ReadAll(res.Body)
			return res.StatusCode, string(body)
		}
	}
}

// TestHTTPMessage has the gateway sign requests of all kinds with all algorithms, and a library
// that nobody here has written verify them.
func TestHTTPMessage(t *testing.T) {
	node(t)
	keys := make(map[string]messageKey)
	for _, alg := range []string{"ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256", "hmac-sha256"} {
		keys["key-"+alg] = newMessageKey(t, alg)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	file := rig.Save(t, string(text))
	judge := nodeServer(t, "message-judge.mjs", filepath.Clean(file))
	for id, key := range keys {
		for _, components := range []string{
			"", "components @method @target-uri @authority @scheme @request-target @path @query host content-type content-digest x-twice x-env user-agent\nnonce\ntag t\nlabel other",
			"components @query-param;name=\"a\" `x-dict;key=\"b\"` content-digest",
			"components @authority\nagent https://gateway.example\n",
		} {
			if key.Alg == "hmac-sha256" {
				components = strings.ReplaceAll(components, "agent https://gateway.example\n", "")
			}
			for _, f := range []form{atRoot, belowPath} {
				w := service{lines: "header X-Env prod\nsignature http_message {\nkey_id " + id + "\n" + key.option + "\n" + components + "\n}\n"}.gateway(t, f, judge+"/base")
				addr := "127.0.0.1" + w.host()[len("localhost"):]
				for _, request := range []string{
					"GET /x HTTP/1.1\r\nX-Twice: 1\r\nX-Twice:  2 \r\nX-Dict: a=1, b=2;c\r\nUser-Agent: x\r\n",
					"GET /a+b/%2F/%C3%BC//?a=b+c%20d&b=1 HTTP/1.1\r\n",
					"HEAD /x?a HTTP/1.1\r\n",
					"POST /x?a=1&a=2 HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
					"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
					"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
					"PUT /x HTTP/1.1\r\nContent-Length: 0\r\n",
				} {
					line, rest, _ := strings.Cut(request, "\r\n")
					method, target, _ := strings.Cut(line, " ")
					if !strings.Contains(rest, "\r\n\r\n") {
						rest += "\r\n"
					}
					status, text := lastReply(t, addr, method+" "+f.path+target+"\r\nHost: "+w.host()+"\r\n"+rest)
					if text != "verified" && method != "HEAD" || status != 200 {
						t.Errorf("%s, %q, %s: %s: %d %s", id, components, f.name, line, status, text)
					}
				}
			}
		}
	}
}
