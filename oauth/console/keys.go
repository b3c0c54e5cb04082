// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// published is a key that is published.
type published struct{ datasource, thumbprint string }

// warnOfKeys logs that two keys have one identifier, once until it is another one: anybody may ask
// for the keys. Where a provider is known to fetch them, that is an error when the configuration
// loads.
func warnOfKeys(v *visit, id, one, other string) {
	if last := v.h.ambiguous.Swap(&id); last == nil || *last != id {
		v.logger.Warn("two different keys are published with one key_id, and a provider that fetches them here may take the wrong one; "+
			"give each another key_id, or none", zap.String("key_id", id), zap.Strings("datasources", []string{one, other}))
	}
}

// publish answers with the public keys by which providers know the gateway (RFC 7517 §5), as they
// are now. Nobody has to sign in for that: providers ask. A key that is of no use now is left out,
// so that the others can be had.
func publish(v *visit) error {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}} // not nil, which JSON writes as null
	seen := make(map[string]bool)
	of := make(map[string]published) // by key_id
	for _, ds := range v.datasources {
		keys, err := ds.PublicKeys()
		if err != nil {
			v.logger.Error("a public key cannot be published", zap.String("datasource", ds.Datasource()), zap.Error(err))
		}
		for _, key := range keys {
			text, err := key.MarshalJSON()
			if err != nil || !key.IsPublic() || seen[string(text)] {
				continue
			}
			seen[string(text)] = true
			one := published{ds.Datasource(), oauth.Thumbprint(&key)}
			if other, known := of[key.KeyID]; known && other.thumbprint != one.thumbprint {
				warnOfKeys(v, key.KeyID, other.datasource, one.datasource)
			}
			of[key.KeyID] = one
			set.Keys = append(set.Keys, key)
		}
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(set); err != nil {
		return err
	}
	v.harden()
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300") // a provider sees a new key soon
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	v.w.WriteHeader(http.StatusOK)
	if v.r.Method == http.MethodHead {
		return nil
	}
	_, err := v.w.Write(body.Bytes())
	return err
}
