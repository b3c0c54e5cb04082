// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"net/http"
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// proofTarget returns the URL of a request as the API gets it, which proofs are about (RFC 9449
// §4.2): not the one by which a client has asked the gateway.
func proofTarget(t *Transport, out *http.Request) *url.URL {
	u := *out.URL
	t.SetScheme(&http.Request{URL: &u})
	u.Host = cmp.Or(out.Host, u.Host)
	return &u
}

// prove adds a proof to a request that is complete but for it, if its credential needs one.
func prove(t *Transport, out *http.Request, credential *auth.Credential) error {
	p := credential.Prover()
	if p == nil {
		return nil
	}
	proof, err := p.Prove(out.Method, proofTarget(t, out))
	if err != nil {
		return err
	}
	out.Header[auth.ProofField] = []string{proof}
	return nil
}

// settled sends a request again that the API wants with another proof, or at the base URL with the
// other ending.
func settled(
	t *Transport, req *http.Request, x *exchange, body body, res *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	res, sent, err := withNonce(t, req, x, body, res, sent)
	if err == nil {
		res, sent, err = t.turn(req, x, body, res, sent)
	}
	return res, sent, err
}

// withNonce has the API's nonce noted, and sends the request again if the API wants the nonce in
// the proof (RFC 9449 §9). That refuses the proof, and neither the token nor the request.
func withNonce(
	t *Transport, req *http.Request, x *exchange, body body, res *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	p := sent.credential.Prover()
	if p == nil {
		return res, sent, nil
	}
	wanted := p.Learn(proofURL(t, sent), res)
	res.Header.Del(auth.NonceField) // it is none of the caller's
	if !wanted {
		return res, sent, nil
	}
	again, ok := body.again()
	if !ok {
		return res, sent, nil // the next request has the nonce
	}
	res, sent, err := t.resend(req, x, body, again, sent.credential, res, sent)
	if err == nil {
		p.Learn(proofURL(t, sent), res)
		res.Header.Del(auth.NonceField)
	}
	return res, sent, err
}

// proofURL returns the URL that an answer is about, as its proof had it.
func proofURL(t *Transport, sent *sentRequest) *url.URL {
	return proofTarget(t, &http.Request{URL: sent.url, Host: sent.Hosts[0]})
}

// wantsNonce reports whether an answer refuses a proof, and not the token.
func wantsNonce(res *http.Response, credential *auth.Credential) bool {
	return credential.Prover() != nil && res.StatusCode == http.StatusUnauthorized && challenges(res, "dpop", "use_dpop_nonce")
}
