// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddyserver/caddy/v2"
)

// A token with claims of the request is made for each request. golang-jwt would allocate 18 times
// for it: it encodes header and claims by reflection and sets up the HMAC anew. Here all that does
// not differ is encoded once, the rest goes into buffers that are used again, and two allocations
// are left, those of what is returned.

// encoder has the buffers for one token.
type encoder struct {
	mac   hash.Hash // of an HMAC's secret, else nil
	rest  []byte    // the claims from signing.rest on
	sum   []byte
	token []byte
}

// maxKeptToken bounds the size of the buffers that are used again.
const maxKeptToken = 8 << 10

// prepare encodes what is the same in all tokens. Base64 encodes three bytes at a time, so up to
// two bytes of the claims are left over for each token.
func (s *signing) prepare() {
	claims := append([]byte{'{'}, s.fixed...)
	if len(s.fixed) > 0 {
		claims = append(claims, ',')
	}
	claims = append(claims, `"iat":`...)
	whole := len(claims) / 3 * 3
	s.begin = base64.RawURLEncoding.AppendEncode([]byte(s.prefix), claims[:whole])
	s.rest = claims[whole:]
	s.encoders.New = func() any {
		e := new(encoder)
		if method, ok := s.method.(*jwt.SigningMethodHMAC); ok {
			e.mac = hmac.New(method.Hash.New, s.key.([]byte))
		}
		return e
	}
}

// sign returns a new token. It is what golang-jwt would make of the same claims.
func (s *signing) sign(now time.Time, lifetime time.Duration, repl *caddy.Replacer) ([]string, error) {
	e := s.encoders.Get().(*encoder)
	if s.bare {
		now = now.Add(-min(lifetime/10, maxBackdate))
	}
	if err := s.appendClaims(e, now.Unix(), int64(lifetime/time.Second), repl); err != nil {
		return nil, err
	}
	e.token = base64.RawURLEncoding.AppendEncode(append(e.token[:0], s.begin...), e.rest)
	if e.mac != nil {
		e.mac.Reset()
		e.mac.Write(e.token)
		e.sum = e.mac.Sum(e.sum[:0])
	} else {
		sum, err := s.method.Sign(string(e.token), s.key)
		if err != nil {
			return nil, fmt.Errorf("signing with %s: %w", s.method.Alg(), err)
		}
		e.sum = sum
	}
	e.token = base64.RawURLEncoding.AppendEncode(append(e.token, '.'), e.sum)
	values := []string{string(e.token)}
	if cap(e.token) <= maxKeptToken {
		s.encoders.Put(e)
	}
	return values, nil
}

// appendClaims fills in e.rest.
func (s *signing) appendClaims(e *encoder, issued, lifetime int64, repl *caddy.Replacer) error {
	rest := strconv.AppendInt(append(e.rest[:0], s.rest...), issued, 10)
	rest = strconv.AppendInt(append(rest, `,"exp":`...), issued+lifetime, 10)
	for _, c := range s.claims {
		text := c.template.Expand(repl)
		if text == "" {
			continue
		}
		var err error
		if rest, err = appendText(append(append(rest, ','), c.name...), text); err != nil {
			return fmt.Errorf("claim %s: %w", c.name[:len(c.name)-1], err)
		}
	}
	e.rest = append(rest, '}')
	return nil
}
