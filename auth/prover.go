// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"net/url"
)

// Prover makes what a request carries beside a credential that is bound to a key: a proof, for
// this one request, that the sender has the key (RFC 9449).
type Prover struct {
	// Prove returns the proof for a request with a method to the URL that the API gets.
	Prove func(method string, target *url.URL) (string, error)

	// Learn is told each answer. It reports whether the API has refused the proof, and takes
	// another one.
	Learn func(target *url.URL, res *http.Response) (again bool)
}

// ProofField is the canonical name of the header field of proofs, and NonceField that of what an
// API wants in the next one.
const (
	ProofField = "Dpop"
	NonceField = "Dpop-Nonce"
)

// WithProver returns the credential with what proves that the sender may use it.
func (c *Credential) WithProver(p *Prover) *Credential {
	proven := *c
	proven.prover = p
	return &proven
}

// Prover returns what proves that the sender may use the credential, or nil if nothing has to.
func (c *Credential) Prover() *Prover { return c.prover }
