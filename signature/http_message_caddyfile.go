// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the signer from Caddyfile tokens. Syntax:
//
//	signature http_message {
//	    key        <pem>
//	    secret     <secret>
//	    key_id     <keyid>
//	    algorithm  <alg>
//	    components <component...>
//	    digest     sha-256|sha-512
//	    label      <label>
//	    tag        <tag>
//	    lifetime   <duration>
//	    nonce
//	    agent      <url>
//	}
func (m *HTTPMessage) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the signer's name
	if d.NextArg() {
		return d.Errf("signature: http_message takes its options in a block")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := m.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := m.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (m *HTTPMessage) unmarshalOption(d *caddyfile.Dispenser) error {
	fields := map[string]*string{
		"key": &m.Key, "secret": &m.Secret, "key_id": &m.KeyID, "algorithm": &m.Algorithm, "digest": &m.Digest, "label": &m.Label,
		"tag": &m.Tag, "agent": &m.Agent, "lifetime": new(string),
	}
	name := d.Val()
	switch field := fields[name]; {
	case name == "components":
		m.Components = append(m.Components, d.RemainingArgs()...)
		if len(m.Components) == 0 {
			return d.Errf("signature: components: takes one value or more")
		}
	case name == "nonce":
		if d.NextArg() {
			return d.Errf("signature: nonce: takes no value; each signature has one of its own")
		}
		m.Nonce = true
	case name == "key_file":
		return d.Errf("signature: key_file: here it is called key")
	case field == nil:
		return d.Errf("signature: %s", option.Unrecognized(name, "key", "secret", "key_id", "algorithm", "components", "digest",
			"label", "tag", "lifetime", "nonce", "agent"))
	case *field != "" || name == "lifetime" && m.Lifetime != 0:
		return d.Errf("signature: %s: given twice", name)
	case !d.AllArgs(field) || *field == "":
		return d.Errf("signature: %s: takes one value", name)
	case name == "lifetime":
		dur, err := value.ParseDuration("signature: lifetime", *field)
		if err != nil {
			return d.WrapErr(err)
		}
		m.Lifetime = caddy.Duration(dur)
	}
	return nil
}

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (m *HTTPMessage) Validate() error {
	if err := m.checkKeySource(); err != nil {
		return err
	}
	switch {
	case m.Digest != "" && m.Digest != "sha-256" && m.Digest != "sha-512":
		return fmt.Errorf("signature: digest: %s is not one of sha-256, sha-512", value.Quote(m.Digest, "sha-256", "sha-512"))
	case m.Label != "" && !isLabel(m.Label):
		return fmt.Errorf("signature: label: %s is no label; write lower-case letters and digits, a letter first, such as sig1", value.Shape(m.Label))
	case m.Lifetime != 0 && time.Duration(m.Lifetime) < time.Second:
		return errors.New("signature: lifetime: less than a second; a signature's times are in seconds")
	case m.Agent != "" && m.Secret != "":
		return errors.New("signature: agent: others verify what a bot signs, so it needs a key, not a secret")
	case m.Agent != "" && !strings.ContainsAny(m.Agent, "{") && !value.IsSealed(m.Agent):
		if err := checkAgent(m.Agent); err != nil {
			return err
		}
	}
	_, err := m.covered()
	return err
}

// checkKeySource checks that there is either a key or a secret, and that the algorithm goes with
// it.
func (m *HTTPMessage) checkKeySource() error {
	algorithms := messageAlgorithms()
	isHMAC := m.Algorithm == algorithms[len(algorithms)-1]
	switch {
	case m.Algorithm != "" && !slices.Contains(algorithms, m.Algorithm):
		return fmt.Errorf("signature: algorithm: %s is not one of %s", value.Quote(m.Algorithm, algorithms...), strings.Join(algorithms, ", "))
	case m.Key == "" && m.Secret == "":
		return errors.New("signature: a key is missing (or, for hmac-sha256, a secret); write key /path/of/key.pem " +
			"(`openssl genpkey -algorithm ed25519` makes one)")
	case m.Key != "" && m.Secret != "":
		return errors.New("signature: both a key and a secret are given; remove one")
	case m.Key != "" && isHMAC:
		return errors.New("signature: algorithm: hmac-sha256 takes a secret, not a key")
	case m.Secret != "" && m.Algorithm != "" && !isHMAC:
		return fmt.Errorf("signature: algorithm: %s takes a key, not a secret", m.Algorithm)
	case m.Secret != "":
		if err := value.CheckWritten("signature: secret", m.Secret); err != nil {
			return err
		}
		if !strings.ContainsAny(m.Secret, `{\`) && !value.IsSealed(m.Secret) {
			return checkSecret(m.Secret)
		}
	case signingkey.IsJWK(m.Key):
		return nil
	}
	return value.Check("signature: key", m.Key)
}

// isLabel reports whether a text can be the key of a dictionary (RFC 9651 §3.1.2).
func isLabel(text string) bool {
	for i, c := range []byte(text) {
		lower := c >= 'a' && c <= 'z' || c == '*'
		if !lower && (i == 0 || ((c < '0' || c > '9') && strings.IndexByte("_-.", c) < 0)) {
			return false
		}
	}
	return true
}

func checkAgent(agent string) error {
	if agent == "" {
		return nil
	}
	if u, err := url.Parse(agent); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("signature: agent: it is no https URL; write the origin where the key is published, such as https://gateway.example.com")
	}
	return nil
}

// covered returns the components of the signature.
func (m *HTTPMessage) covered() ([]component, error) {
	names := m.Components
	if len(names) == 0 {
		names = []string{"@method", "@authority", "@path", "@query", "content-type", digestField}
		if m.Agent != "" {
			names = []string{"@authority"}
		}
	}
	if m.Agent != "" {
		label := m.Label
		if label == "" {
			label = defaultMessageLabel
		}
		names = append(slices.Clip(names), agentField+`;key="`+label+`"`)
	}
	var all []component
	for _, name := range names {
		c, err := parseComponent(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(other component) bool { return other.text == c.text }) {
			return nil, fmt.Errorf("signature: components: %s is given twice", value.Mention(c.name, derived[:]...))
		}
		all = append(all, c)
	}
	return all, nil
}
