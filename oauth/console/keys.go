// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

// publish answers with the public keys by which providers know the gateway (RFC 7517 §5), as they
// are now. Nobody has to sign in for that: providers ask. A key that is of no use now is left out,
// so that the others can be had.
func publish(v *visit) error {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}} // not nil, which JSON writes as null
	seen := make(map[string]bool)
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
