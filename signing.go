// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// signing is how requests are signed: by one of two kinds of signers. A nil signing signs nothing.
type signing struct {
	claims  signature.Signer        // signs claims, before the credential is added
	request signature.RequestSigner // signs what is sent, after everything else
}

// signerNamespace is where the signers are.
const signerNamespace = "http.authenticated_api.signers"

func loadSigning(ctx caddy.Context, d *Datasource) (*signing, error) {
	if d.SignatureRaw == nil {
		return nil, nil //nolint:nilnil // requests are not signed
	}
	if err := checkRawModule("signature", signerNamespace, "signer", d.SignatureRaw); err != nil {
		return nil, err
	}
	guest, err := ctx.LoadModule(d, "SignatureRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the signer: %w", err)
	}
	switch signer := guest.(type) {
	case signature.Signer:
		return &signing{claims: signer}, nil
	case signature.RequestSigner:
		return &signing{request: signer}, nil
	default:
		return nil, fmt.Errorf("signature: %T is not a signer", guest)
	}
}

// ofRequests reports whether what is sent is signed.
func (s *signing) ofRequests() bool { return s != nil && s.request != nil }

// module returns the signer, or nil.
func (s *signing) module() caddy.Module {
	switch {
	case s == nil:
		return nil
	case s.claims != nil:
		return s.claims
	default:
		return s.request
	}
}

// fields returns the names of the header fields that carry the signature.
func (s *signing) fields() []string {
	switch {
	case s == nil:
		return nil
	case s.claims != nil:
		return []string{s.claims.Header()}
	default:
		return s.request.Fields()
	}
}

// params returns the names of the query parameters that a client may not send.
func (s *signing) params() []string {
	if !s.ofRequests() {
		return nil
	}
	return s.request.Params()
}

// carries reports whether a header field carries the signature.
func (s *signing) carries(name string) bool {
	return slices.Contains(s.fields(), name)
}

// check reports what else sets the fields of the signature.
func (s *signing) check(carried clean.Carried, d *Datasource) error {
	for _, field := range s.fields() {
		switch {
		case !slices.Contains(carried.Fields, field) && (field != "Cookie" || len(carried.Cookies) == 0):
		case s.claims != nil:
			return fmt.Errorf("signature: header: %s carries the credential of auth already; give another field", field)
		default:
			return fmt.Errorf("signature: it needs the header field %s, which carries the credential of auth already; remove auth", field)
		}
		if s.claims == nil && slices.Contains(d.Headers.Names(), field) {
			return fmt.Errorf("signature: it sets the header field %s itself; remove that header", field)
		}
	}
	return nil
}

// signClaims puts a signature that does not depend on the request on h.
func (s *signing) signClaims(h http.Header, repl *caddy.Replacer) error {
	if s == nil || s.claims == nil {
		return nil
	}
	values, err := s.claims.Sign(repl)
	if err != nil {
		return err
	}
	h[s.claims.Header()] = values
	return nil
}

// signed returns what no answer may show of a signature of claims.
func (s *signing) signed(h http.Header) []string {
	if s == nil || s.claims == nil {
		return nil
	}
	return h[s.claims.Header()]
}

// sign signs a request that is otherwise complete, and returns what no answer may show of
// the signature.
func (x *exchange) sign(out *http.Request, body body, encrypted bool) ([]string, error) {
	s := x.ds.signing
	if !s.ofRequests() {
		return s.signed(out.Header), nil
	}
	repl, _ := out.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	var failed error
	content := func() (content []byte, err error) {
		content, err = body.whole()
		if err != nil && !errors.Is(err, signature.ErrTooLarge) {
			failed = err
		}
		return content, err
	}
	secrets, err := s.request.SignRequest(&signature.Outgoing{
		Request: out, Caller: x.caller.Header, Encrypted: encrypted, Content: content, Replacer: repl,
	})
	if err != nil && failed != nil {
		return nil, &bodyError{failed}
	}
	if err == nil {
		body.measure(out)
	}
	return secrets, err
}

// keepAhead keeps a body that was read to be signed, if the request was not sent since there was
// no connection: the proxy may try another upstream, and nothing has read the body but the
// signer.
func (x *exchange) keepAhead(b body, err error) bool {
	if _, failed := errors.AsType[reverseproxy.DialError](err); !failed || !x.ds.signing.ofRequests() || b.window == nil || !b.window.Kept() {
		return false
	}
	x.ahead = b
	return true
}

// bodyAhead returns the body that was kept.
func (x *exchange) bodyAhead() body {
	b := x.ahead
	x.ahead = body{}
	if b.window != nil {
		b.first, _ = b.window.Again()
	}
	return b
}

// bodyError says that the client's body could not be read.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the body to sign it: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// errForeignTransport is for a signature of the request where the proxy of the user's own sends
// it.
var errForeignTransport = errors.New("a signature of the whole request is made by the transport authenticated_api alone; " +
	"write transport authenticated_api into the reverse_proxy, or give authenticated_api a base URL")

// unsigned returns the problem that a request could not be signed. What a client has brought is no
// fault of the gateway's, so the log has it for who looks for it.
func (ds *datasource) unsigned(logger *zap.Logger, err error) *problem.Problem {
	level, p := zapcore.DebugLevel, problem.Signature
	switch {
	case errors.Is(err, signature.ErrNotUTF8):
		p = problem.BadValue
	case errors.Is(err, signature.ErrTooLarge):
		p = problem.TooLarge
	case errors.Is(err, signature.ErrSignedChunks):
		p = problem.SignedChunks
	default:
		level = zapcore.ErrorLevel
	}
	if c := logger.Check(level, "signing failed"); c != nil {
		c.Write(zap.String("datasource", ds.name), zap.Error(err))
	}
	return p
}
