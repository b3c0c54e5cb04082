// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// awsVector is one of AWS's published test vectors: those of awslabs/aws-c-auth (Apache 2.0),
// tests/aws-signing-test-suite/v4, at commit 495329c.
type awsVector struct {
	Name, Request, Canonical, Signature string
	SessionToken                        string `json:"session_token"`
	OmitSessionToken                    bool   `json:"omit_session_token"`
	Normalize                           bool
	SignBody                            bool `json:"sign_body"`
}

// notHere says why a vector does not apply.
func (v *awsVector) notHere() string {
	switch {
	case !v.Normalize:
		return "no service but S3 wants a path that is not normalized, and S3's is escaped once"
	case v.OmitSessionToken:
		return "the session token is always signed"
	case strings.Contains(v.Request, "/example space/ "), strings.Contains(v.Request, "/ሴ "):
		return "a path that is not escaped cannot be sent, and one that is escaped is escaped once more"
	case strings.Contains(v.Request, "/.."):
		return "the gateway refuses such a path"
	case strings.Contains(v.Request, "\n "):
		return "net/http refuses a line that goes on"
	default:
		return ""
	}
}

// TestAWSVectors signs AWS's vectors, with all of their fields, by the code that signs requests.
func TestAWSVectors(t *testing.T) {
	var vectors []awsVector
	content, err := os.ReadFile("testdata/aws_sigv4_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &vectors); err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			if why := v.notHere(); why != "" {
				t.Log(why)
				return
			}
			signed++
			a := &AWSSigV4{
				Region: "us-east-1", Service: "service", AccessKeyID: "AKIDEXAMPLE",
				SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: v.SessionToken,
			}
			if err := a.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(v.Request, "\n\n")
			first, fields, _ := strings.Cut(head, "\n")
			// The vectors have blanks and other bytes in the request line.
			target := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(first, "GET "), "POST "), " HTTP/1.1")
			first = strings.Replace(first, target, strings.ReplaceAll(target, " ", "%20"), 1)
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(first + "\r\n" + strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n\r\n" + body)))
			if err != nil {
				t.Fatal(err)
			}
			content, _ := io.ReadAll(req.Body)
			sum := sha256.Sum256(content)
			hash := hex.EncodeToString(sum[:])
			if v.SignBody {
				req.Header.Set("X-Amz-Content-Sha256", hash)
			}
			at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
			if _, err := a.sign(&Outgoing{Request: req, Encrypted: true}, req.Header, hash, at); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+v.Signature) {
				t.Errorf("%s, want %s of\n%s", got, v.Signature, v.Canonical)
			}
		})
	}
	if signed < 25 {
		t.Errorf("%d vectors only", signed)
	}
}
