// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
)

// TestParsePSS: RSA keys that are for PSS only, as openssl writes them: bound to a hash or not.
func TestParsePSS(t *testing.T) {
	key := rig.SigningKeys()["RS256"].(*rsa.PrivateKey)
	pss, sha := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 0}
	for name, tt := range map[string]struct {
		params asn1.RawValue
		want   string
	}{
		"no hash": {asn1.RawValue{}, "PS256"},
		"SHA-256": {bound(sha, 1), "PS256"},
		"SHA-384": {bound(sha, 2), "PS384"},
		"SHA-512": {bound(sha, 3), "PS512"},
		"SHA-224": {bound(sha, 4), ""},
		"SHA-1":   {asn1.RawValue{FullBytes: []byte{0x30, 0}}, ""},
		"broken":  {asn1.NullRawValue, ""},
	} {
		text := encode("PRIVATE KEY", must(asn1.Marshal(struct {
			Version    int
			Algorithm  pkix.AlgorithmIdentifier
			PrivateKey []byte
		}{0, pkix.AlgorithmIdentifier{Algorithm: pss, Parameters: tt.params}, x509.MarshalPKCS1PrivateKey(key)})))
		got, err := signingkey.Parse(text)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: it is taken", name)
			}
			continue
		}
		if err != nil || !isSame(got.Signer, key) || got.Algorithm != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// bound returns the parameters of a key that is bound to a hash of the SHA-2 family.
func bound(sha asn1.ObjectIdentifier, n int) asn1.RawValue {
	hash := pkix.AlgorithmIdentifier{Algorithm: append(sha[:8:8], n), Parameters: asn1.NullRawValue}
	return asn1.RawValue{FullBytes: must(asn1.Marshal(struct {
		Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
		Salt int                      `asn1:"explicit,tag:2"`
	}{
		hash, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}, Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(hash))}}, 32,
	}))}
}
