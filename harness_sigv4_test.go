// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// sigV4 verifies requests as a service of AWS does, by the text of "Create a signed AWS API
// request" in the IAM user guide, and by nothing else.
type sigV4 struct {
	service, region string
	secrets         map[string]string // by the id of the access key
	unsigned        bool              // UNSIGNED-PAYLOAD is taken
}

// verifyText verifies a request as it was on the wire, and returns the id of its access key.
func (v sigV4) verifyText(t *testing.T, request string) string {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.verify(r, body)
	if err != nil {
		t.Errorf("%v\n%s", err, request[:min(len(request), 2000)])
	}
	return id
}

func (v sigV4) verify(r *http.Request, body []byte) (id string, err error) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "", fmt.Errorf("Authorization: %q", r.Header.Get("Authorization"))
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(rest, ", ") {
		name, val, _ := strings.Cut(part, "=")
		parts[name] = val
	}
	id, scope, _ := strings.Cut(parts["Credential"], "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return id, fmt.Errorf("X-Amz-Date: %q", r.Header.Get("X-Amz-Date"))
	}
	day := at.Format("20060102")
	if want := day + "/" + v.region + "/" + v.service + "/aws4_request"; scope != want {
		return id, fmt.Errorf("the scope is %s, want %s", scope, want)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if stated := r.Header.Get("X-Amz-Content-Sha256"); stated != hash {
		if stated != "UNSIGNED-PAYLOAD" || !v.unsigned {
			return id, fmt.Errorf("the body's hash is %s, want %s", stated, hash)
		}
		hash = stated
	}
	fields := strings.Split(parts["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date"} {
		if !slices.Contains(fields, must) {
			return id, fmt.Errorf("%s is not signed", must)
		}
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(fields, strings.ToLower(name)) {
			return id, fmt.Errorf("%s is not signed", name)
		}
	}
	canonical := strings.Join([]string{
		r.Method, v.path(r), canonicalQuery(r.URL.RawQuery), canonicalFields(r, fields), parts["SignedHeaders"], hash,
	}, "\n")
	sum = sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + v.secrets[id])
	for _, part := range []string{day, v.region, v.service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if hex.EncodeToString(key) != parts["Signature"] {
		return id, fmt.Errorf("the signature is wrong for\n%s", canonical)
	}
	return id, nil
}

// path returns the path that is signed: escaped once for S3, else what is on the wire escaped once
// more.
func (v sigV4) path(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if v.service == "s3" {
		return uriEncode(r.URL.Path, true)
	}
	var segments []string
	for segment := range strings.SplitSeq(raw, "/") {
		if segment != "" && segment != "." {
			segments = append(segments, uriEncode(segment, false))
		}
	}
	path := "/" + strings.Join(segments, "/")
	if (strings.HasSuffix(raw, "/") || strings.HasSuffix(raw, "/.")) && len(segments) > 0 { // RFC 3986 §5.2.4
		path += "/"
	}
	return path
}

func canonicalQuery(raw string) string {
	var pairs [][2]string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, val, _ := strings.Cut(pair, "=")
		name, _ = url.PathUnescape(name)
		val, _ = url.PathUnescape(val)
		pairs = append(pairs, [2]string{uriEncode(name, false), uriEncode(val, false)})
	}
	sort.Slice(pairs, func(i, j int) bool {
		return pairs[i][0] < pairs[j][0] || pairs[i][0] == pairs[j][0] && pairs[i][1] < pairs[j][1]
	})
	var sb strings.Builder
	for i, pair := range pairs {
		if i > 0 {
			sb.WriteByte('&')
		}
		sb.WriteString(pair[0] + "=" + pair[1])
	}
	return sb.String()
}

func canonicalFields(r *http.Request, fields []string) string {
	var sb strings.Builder
	for _, name := range fields {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{fmt.Sprint(r.ContentLength)}
		}
		for i, val := range values {
			values[i] = strings.Join(strings.Fields(val), " ")
		}
		sb.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	return sb.String()
}

// uriEncode is UriEncode of that guide.
func uriEncode(text string, keepSlash bool) string {
	var sb strings.Builder
	for _, c := range []byte(text) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || c == '/' && keepSlash {
			sb.WriteByte(c)
		} else {
			fmt.Fprintf(&sb, "%%%02X", c)
		}
	}
	return sb.String()
}
