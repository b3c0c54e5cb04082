// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// messageAlgorithms are those of RFC 9421 §3.3. The last takes a secret.
func messageAlgorithms() []string {
	return []string{"ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256", "hmac-sha256"}
}

// messageKey is what messages are signed with, and what is said of it.
type messageKey struct {
	key                       any // []byte of an HMAC, or a crypto.Signer
	algorithm, id, tag, agent string
}

func (k *messageKey) equal(other *messageKey) bool {
	return k.algorithm == other.algorithm && k.id == other.id && k.tag == other.tag && k.agent == other.agent && sameKey(k.key, other.key)
}

// messageTexts are the values of the options, after sealed ones were opened.
type messageTexts struct {
	key, secret, keyID, tag, agent string
}

// files returns the names of the files that the values come from: what is in them may change
// without a reload.
func (t *messageTexts) files() []string {
	names := value.Files(t.secret, t.keyID, t.tag, t.agent)
	if t.key != "" && !signingkey.IsJWK(t.key) {
		names = append(names, value.PEMFiles(t.key)...)
	}
	return names
}

// isWrittenKey reports whether a private key is written in the configuration itself.
func isWrittenKey(text string) bool {
	return signingkey.IsJWK(text) || value.IsLiteral(text) && strings.Contains(text, "PRIVATE KEY-----")
}

// load resolves the values, and reads their files, as of now.
func (t *messageTexts) load(algorithm string) (*messageKey, error) {
	k := new(messageKey)
	var err error
	if t.secret != "" {
		err = k.loadSecret(t.secret)
	} else {
		err = k.loadKey(t.key, algorithm)
	}
	if err != nil {
		return nil, err
	}
	if t.agent != "" {
		k.tag = botTag
	}
	for _, option := range []struct {
		name, text string
		to         *string
	}{{"key_id", t.keyID, &k.id}, {"tag", t.tag, &k.tag}, {"agent", t.agent, &k.agent}} {
		if option.text == "" {
			continue
		}
		name := "signature: " + option.name
		if *option.to, err = value.ResolveLine(name, option.text); err != nil {
			return nil, err
		}
		if strings.ContainsFunc(*option.to, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("%s: it has characters that are not ASCII, and a string in a header field has none (RFC 9651 §3.3.3)", name)
		}
	}
	return k, checkAgent(k.agent)
}

func (k *messageKey) loadSecret(text string) error {
	secret, err := value.Resolve("signature: secret", text)
	if err != nil {
		return err
	}
	k.key, k.algorithm = []byte(secret), "hmac-sha256"
	return checkSecret(secret)
}

func (k *messageKey) loadKey(text, algorithm string) (err error) {
	const option = "signature: key"
	if !signingkey.IsJWK(text) {
		if text, err = value.ResolvePEM(option, text); err != nil {
			return err
		}
	}
	key, err := signingkey.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	k.key = key.Signer
	possible, kind := algorithmsFor(key.Signer)
	switch {
	case len(possible) == 0:
		return fmt.Errorf("%s: %s is of no use; Ed25519, EC P-256 and P-384, and RSA of 2048 bits or more are", option, kind)
	case algorithm == "":
		k.algorithm = possible[0]
	case slices.Contains(possible, algorithm):
		k.algorithm = algorithm
	default:
		return fmt.Errorf("%s: algorithm %s does not go with %s, which can do %s", option, algorithm, kind, strings.Join(possible, ", "))
	}
	thumbprint, err := (&jose.JSONWebKey{Key: key.Signer.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return fmt.Errorf("%s: its thumbprint: %w", option, err)
	}
	k.id = cmp.Or(key.ID, base64.RawURLEncoding.EncodeToString(thumbprint))
	return nil
}

// algorithmsFor returns what a key can sign with, its default first.
func algorithmsFor(key crypto.Signer) (possible []string, kind string) {
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return []string{"ed25519"}, "an Ed25519 key"
	case *ecdsa.PrivateKey:
		kind = "an EC key on " + k.Curve.Params().Name
		switch k.Curve {
		case elliptic.P256():
			return []string{"ecdsa-p256-sha256"}, kind
		case elliptic.P384():
			return []string{"ecdsa-p384-sha384"}, kind
		}
	case *rsa.PrivateKey:
		kind = fmt.Sprintf("an RSA key of %d bits", k.N.BitLen())
		if k.N.BitLen() >= 2048 {
			return []string{"rsa-pss-sha512", "rsa-v1_5-sha256"}, kind
		}
	}
	return nil, kind
}

// sign signs a signature base (RFC 9421 §3.3).
func (k *messageKey) sign(base []byte) ([]byte, error) {
	switch key := k.key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(base)
		return mac.Sum(nil), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(key, base), nil
	case *ecdsa.PrivateKey:
		return signECDSA(key, base)
	case *rsa.PrivateKey:
		if k.algorithm == "rsa-v1_5-sha256" {
			sum := sha256.Sum256(base)
			return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		}
		sum := sha512.Sum512(base)
		return rsa.SignPSS(rand.Reader, key, crypto.SHA512, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
}

// signECDSA returns the two numbers of a signature, each as long as the curve's order (RFC 9421
// §3.3.4).
func signECDSA(key *ecdsa.PrivateKey, base []byte) ([]byte, error) {
	var sum []byte
	if key.Curve == elliptic.P384() {
		s := sha512.Sum384(base)
		sum = s[:]
	} else {
		s := sha256.Sum256(base)
		sum = s[:]
	}
	r, s, err := ecdsa.Sign(rand.Reader, key, sum)
	if err != nil {
		return nil, err
	}
	size := (key.Params().BitSize + 7) / 8
	sig := make([]byte, 2*size)
	r.FillBytes(sig[:size])
	s.FillBytes(sig[size:])
	return sig, nil
}
