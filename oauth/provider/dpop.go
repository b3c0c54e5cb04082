// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// ProofAlgorithm is the algorithm of proofs of possession: the one that all profiles know.
const ProofAlgorithm = "ES256"

// ProofKey is a key that tokens are bound to (RFC 9449). Whoever sends such a token sends a proof
// with it, for one request and for a moment, that they have the key. A ProofKey never changes.
type ProofKey struct {
	key    *ecdsa.PrivateKey
	jwk    map[string]string
	nonces *Nonces

	// Thumbprint is that of the public key (RFC 7638).
	Thumbprint string
}

// NewProofKey returns a new key, in PKCS#8.
func NewProofKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for proofs: %w", err)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// ParseProofKey reads a key that NewProofKey has made. nonces are those of all servers that get
// proofs.
func ParseProofKey(raw []byte, nonces *Nonces) (*ProofKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(raw)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key for proofs is damaged")
	}
	point, err := key.PublicKey.Bytes() // 4, x and y
	if err != nil {
		return nil, fmt.Errorf("reading the key for proofs: %w", err)
	}
	k := &ProofKey{key: key, nonces: nonces, jwk: map[string]string{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:65]),
	}}
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.jwk["x"] + `","y":"` + k.jwk["y"] + `"}`))
	k.Thumbprint = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}

// Proof returns a proof for one request (RFC 9449 §4.2). target is the URL that the server gets;
// its query and fragment are no part of the proof. token is the access token that goes with it, ""
// for a request to a token endpoint. Each proof has an identifier of its own, so a proof is good
// once.
func (k *ProofKey) Proof(method string, target *url.URL, token string) (string, error) {
	u := url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path, RawPath: target.RawPath}
	if u.Path == "" {
		u.Path = "/"
	}
	claims := jwt.MapClaims{"jti": rand.Text(), "htm": method, "htu": u.String(), "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce := k.nonces.of(target); nonce != "" {
		claims["nonce"] = nonce
	}
	proof := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	proof.Header["typ"], proof.Header["jwk"] = "dpop+jwt", k.jwk
	signed, err := proof.SignedString(k.key)
	if err != nil {
		return "", fmt.Errorf("signing a proof: %w", err)
	}
	return signed, nil
}

// Learn notes the nonce of an answer to a request for target, and reports whether the server has
// refused the proof for the lack of it (RFC 9449 §8, §9), so that another proof may be taken.
func (k *ProofKey) Learn(target *url.URL, res *http.Response) (again bool) {
	fresh := k.nonces.learn(target, res.Header)
	if !fresh || res.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, c := range wire.ParseChallenges(res.Header["Www-Authenticate"]) {
		if c.Scheme == "dpop" && c.Params["error"] == useNonce {
			return true
		}
	}
	return false
}

// useNonce is the error that asks for another proof.
const useNonce = "use_dpop_nonce"

// String keeps the key out of logs and errors.
func (*ProofKey) String() string { return "[proof key]" }

// GoString is String for %#v.
func (k *ProofKey) GoString() string { return k.String() }

// MarshalText keeps the key out of JSON and of reflecting loggers.
func (k *ProofKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// nonceTerm is how long a nonce is used: servers change theirs every few minutes, and say the next
// one beforehand.
const nonceTerm = 5 * time.Minute

// maxNonces bounds the servers whose nonces are kept.
const maxNonces = 64

// Nonces are those that servers have given for proofs, by origin. The zero Nonces are ready to
// use.
type Nonces struct {
	mu    sync.Mutex
	known map[string]nonce
}

type nonce struct {
	text string
	at   time.Time
}

func originOf(u *url.URL) string { return strings.ToLower(u.Scheme + "://" + u.Host) }

// of returns the nonce for a server, or "".
func (n *Nonces) of(target *url.URL) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.known[originOf(target)]
	if time.Since(known.at) > nonceTerm {
		return ""
	}
	return known.text
}

// learn notes the nonce in a header, and reports whether there is one that can be sent.
func (n *Nonces) learn(target *url.URL, h http.Header) bool {
	text := h.Get("DPoP-Nonce")
	if text == "" || len(text) > 1024 || usable(text) != text || strings.ContainsAny(text, `"\ `) { // RFC 9449 §8.1
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNonces {
		n.known = make(map[string]nonce)
	}
	n.known[originOf(target)] = nonce{text, time.Now()}
	return true
}

// prove adds a proof to a request to the provider, if the configuration has a key for that.
func (a *attempt) prove() error {
	if a.cfg.Proof == nil {
		return nil
	}
	target, err := url.Parse(a.endpoint)
	if err != nil {
		return errors.New("the endpoint is no URL")
	}
	proof, err := a.cfg.Proof.Proof(http.MethodPost, target, "")
	if err != nil {
		return err
	}
	a.header.Set("DPoP", proof)
	return nil
}

// learned notes the nonce of an answer, and reports whether the provider has refused the proof for
// the lack of it. It has done nothing else with the request then.
func (a *attempt) learned(t roundTrip) (again bool) {
	if a.cfg.Proof == nil || t.res == nil {
		return false
	}
	target, err := url.Parse(a.endpoint)
	if err != nil || !a.cfg.Proof.nonces.learn(target, t.res.Header) || t.cut != nil {
		return false
	}
	if t.res.StatusCode != http.StatusBadRequest && t.res.StatusCode != http.StatusUnauthorized {
		return false
	}
	got, err := parseAnswer(t.body)
	return err == nil && got.errorCode == useNonce
}
