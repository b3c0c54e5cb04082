// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	contentField = "X-Amz-Content-Sha256"

	unsignedPayload = "UNSIGNED-PAYLOAD"

	// streamingUnsigned is for a body in chunks with a checksum in its trailer (aws-chunked), none
	// of which is signed. AWS's own SDKs send such bodies.
	streamingUnsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

	// lattice is the service VPC Lattice, which takes unsigned payloads only.
	lattice = "vpc-lattice-svcs"
)

// SignRequest implements RequestSigner.
func (a *AWSSigV4) SignRequest(out *Outgoing) ([]string, error) {
	hash, err := a.payloadHash(out)
	if err != nil {
		return nil, err
	}
	out.Header[contentField] = []string{hash}
	return a.sign(out, signedFields(out.Header), hash, time.Now())
}

// sign signs a request with fields, and puts them on it.
func (a *AWSSigV4) sign(out *Outgoing, fields http.Header, hash string, now time.Time) ([]string, error) {
	writePlainly(out.URL, a.isS3())
	path := out.URL.RawPath
	if !a.isS3() {
		path = normalized(path)
	}
	signed := &http.Request{
		Method: out.Method, Host: out.Host, Header: fields, ContentLength: out.ContentLength,
		URL: &url.URL{Scheme: scheme(out), Host: out.URL.Host, Opaque: "//host" + path, RawQuery: out.URL.RawQuery},
	}
	key := a.current.Load()
	err := key.signer.SignHTTP(out.Context(), key.credentials.sdk(), signed, hash, a.service, a.region, now, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = a.isS3()
	})
	if err != nil {
		return nil, fmt.Errorf("signing with AWS Signature Version 4: %w", err)
	}
	out.Host = signed.Host // without the scheme's own port
	maps.Copy(out.Header, signed.Header)
	secrets := signed.Header["Authorization"]
	if token := key.credentials.sessionToken; token != "" {
		secrets = append(secrets[:1:1], token)
	}
	return secrets, nil
}

// payloadHash returns what stands for the body in the signature.
func (a *AWSSigV4) payloadHash(out *Outgoing) (string, error) {
	mayBeUnsigned := a.isS3() && out.Encrypted
	switch sent := out.Caller.Get(contentField); {
	case !strings.HasPrefix(sent, "STREAMING-"):
	case sent == streamingUnsigned && mayBeUnsigned:
		return streamingUnsigned, nil
	default:
		return "", ErrSignedChunks
	}
	if a.service == lattice {
		return unsignedPayload, nil
	}
	content, err := out.Content()
	switch {
	case errors.Is(err, ErrTooLarge) && mayBeUnsigned:
		return unsignedPayload, nil
	case err != nil:
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// scheme is for the port that belongs to it, which is no part of Host.
func scheme(out *Outgoing) string {
	if out.Encrypted {
		return "https"
	}
	return "http"
}

// signedFields returns those fields that are signed: what AWS's signer has in its list of fields
// that must be. The others may be changed by whatever is between the gateway and the service, such
// as Accept-Encoding by Google's storage. A field that is there twice is joined, as every verifier
// has to do.
func signedFields(h http.Header) http.Header {
	signed := make(http.Header)
	for name, values := range h {
		if isSigned(name) && len(values) > 0 {
			signed[name] = []string{strings.Join(values, ",")}
		}
	}
	return signed
}

func isSigned(name string) bool {
	switch name {
	case "Authorization", "Content-Length":
		return false
	case "Cache-Control", "Expires", "Range":
		return true
	default:
		return strings.HasPrefix(name, "X-Amz-") || strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "If-")
	}
}

// writePlainly writes path and query of a URL as AWS's own SDKs do: all but the unreserved
// characters of RFC 3986 is escaped, once. What an API reads of it is the same, but a + or a
// blank in another form would be one thing to some verifiers and another to others. In S3 a / is
// a / even if it is escaped.
func writePlainly(u *url.URL, s3 bool) {
	path := u.EscapedPath()
	if s3 {
		path = u.Path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if plain, err := url.PathUnescape(segment); err == nil && !s3 {
			segment = plain
		}
		segments[i] = escape(segment)
	}
	u.RawPath = strings.Join(segments, "/")

	var query []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, val, valued := strings.Cut(pair, "=")
		pair = escape(unescape(name))
		if valued {
			pair += "=" + escape(unescape(val))
		}
		query = append(query, pair)
	}
	u.RawQuery = strings.Join(query, "&")
}

// unescape is url.QueryUnescape, but what it cannot read stands for itself.
func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// escape escapes a text as AWS wants it (UriEncode).
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// normalized returns what is signed of the path of all services but S3: no empty segment, and no
// segment that is a dot (RFC 3986 §5.2.4). AWS's signer leaves that to its caller.
func normalized(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if segment != "" && segment != "." {
			kept = append(kept, segment)
		}
	}
	text := "/" + strings.Join(kept, "/")
	if last := segments[len(segments)-1]; len(kept) > 0 && (last == "" || last == ".") {
		text += "/"
	}
	return text
}
