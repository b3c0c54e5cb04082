// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"crypto"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// PublishedKey is a key whose public half is published only: the one that signed before, or the
// one that will.
type PublishedKey struct {
	// The private key, as `key`.
	Key string `json:"key,omitempty"`

	// Its identifier, as `key_id`. Default: that of a JSON Web Key, or the thumbprint (RFC 7638).
	KeyID string `json:"key_id,omitempty"`
}

// unmarshalKey reads one line of the option key.
func (o *ClientAuthOptions) unmarshalKey(d *caddyfile.Dispenser, prefix string) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" || len(args) == 2 && args[1] == "" {
		return d.Errf("%s: key: takes one value, and perhaps a key_id behind it", prefix)
	}
	id := ""
	if len(args) == 2 {
		id = args[1]
	}
	switch {
	case args[0] == o.Key:
		return d.Errf("%s: key: given twice", prefix)
	case o.Key != "":
		o.MoreKeys = append(o.MoreKeys, PublishedKey{args[0], id})
	case id != "" && o.KeyID != "":
		return d.Errf("%s: key_id: given twice", prefix)
	default:
		o.Key, o.KeyID = args[0], cmp.Or(id, o.KeyID)
	}
	return nil
}

// checkMoreKeys checks the keys that are published only.
func (o *ClientAuthOptions) checkMoreKeys(prefix string, signs bool) error {
	if len(o.MoreKeys) > 0 && !signs {
		return fmt.Errorf("%s: more_keys is of no use with it; remove it", prefix)
	}
	for _, more := range o.MoreKeys {
		if more.Key == "" {
			return fmt.Errorf("%s: key: a further one is empty; write the path of its file, or {env.NAME}", prefix)
		}
		if err := cmp.Or(checkFileName(prefix+": key", more.Key), checkFileName(prefix+": key_id", more.KeyID)); err != nil {
			return err
		}
	}
	return nil
}

// published is a key that is published only, with its sealed values opened.
type published struct {
	PublishedKey

	parsed remembered[*signingkey.Key]
}

// unsealMore opens the sealed values of the keys that are published only.
func (c *clientAuth) unsealMore(ctx caddy.Context) error {
	c.more = make([]published, len(c.options.MoreKeys))
	for i := range c.more {
		k := &c.more[i]
		k.PublishedKey = c.options.MoreKeys[i]
		for _, text := range []*string{&k.Key, &k.KeyID} {
			var err error
			if *text, err = value.Unseal(ctx, c.prefix+": key", *text); err != nil {
				return err
			}
		}
		if _, err := k.key(c.prefix); err != nil {
			return err
		}
	}
	return nil
}

// key reads the key as it is now.
func (k *published) key(prefix string) (*signingkey.Key, error) {
	text, err := resolveKey(prefix+": key", k.Key)
	if err != nil {
		return nil, err
	}
	return k.parsed.of(text, func() (*signingkey.Key, error) {
		key, err := signingkey.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: key: %w", prefix, err)
		}
		return key, nil
	})
}

// Thumbprint returns the thumbprint of a key (RFC 7638), "" if it has none.
func Thumbprint(key *jose.JSONWebKey) string {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// thumbprint returns the identifier of a key that has none.
func thumbprint(key crypto.Signer) string { return Thumbprint(&jose.JSONWebKey{Key: key.Public()}) }

// publicKeys returns the public halves of the keys: of the one that signs, and of the others.
func (c *clientAuth) publicKeys() ([]jose.JSONWebKey, error) {
	if c.way != provider.PrivateKeyJWT || c.options.Key == "" {
		return nil, nil
	}
	signs, err := c.clientKey()
	if err != nil {
		return nil, err
	}
	keys := []jose.JSONWebKey{publicKey(signs.Signer, signs.ID, signs.Algorithm)}
	for i := range c.more {
		k := &c.more[i]
		key, err := k.key(c.prefix)
		if err != nil {
			return nil, err
		}
		id := ""
		if k.KeyID != "" {
			if id, err = value.ResolveLine(c.prefix+": key_id", k.KeyID); err != nil {
				return nil, err
			}
		}
		alg, err := signingkey.AlgorithmFor(key.Signer, key.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("%s: key: %w", c.prefix, err)
		}
		keys = append(keys, publicKey(key.Signer, cmp.Or(id, key.ID), alg))
	}
	return keys, nil
}

func publicKey(key crypto.Signer, id, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: cmp.Or(id, thumbprint(key)), Algorithm: alg, Use: "sig"}
}

// NamesKeys reports whether the provider of a method gets the address of the keys when the client
// is registered, and fetches them there.
func NamesKeys(m *Method) bool { return namesKeys(&m.Options) && m.Console() != "" }

func namesKeys(opts *Options) bool {
	return discovers(opts) && opts.ClientID == "" && opts.ClientAuth == provider.PrivateKeyJWT && opts.Interactive()
}

// PublicKeys returns the public halves of all keys by which the providers of a method know the
// gateway, as they are now.
func PublicKeys(m *Method) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	all := []*clientAuth{&m.clientAuth[0], &m.clientAuth[1], &m.assertion.clientAuth}
	if m.Then != nil {
		all = append(all, &m.Then.clientAuth[0])
	}
	for _, c := range all {
		more, err := c.publicKeys()
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return keys, nil
}
