// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (j *JWT) Validate() error {
	if err := j.checkKeySource(); err != nil {
		return err
	}
	if err := checkHeaderName(j.HeaderName); err != nil {
		return err
	}
	if j.Lifetime != 0 && time.Duration(j.Lifetime) < time.Second {
		return errors.New("signature: lifetime: less than a second; a token's times are in seconds")
	}
	for _, name := range slices.Sorted(maps.Keys(j.Claims)) {
		switch {
		case name == "":
			return errors.New("signature: claim: the name is empty")
		case name == "iss" || name == "iat" || name == "exp":
			return fmt.Errorf("signature: claim: %s is made by the signature itself; see issuer and lifetime", name)
		case name == "aud" && j.Audience != "":
			return errors.New("signature: claim: aud is given by audience already; remove one")
		}
		if err := value.CheckLiteral("signature: claim", name); err != nil {
			return err
		}
		if err := value.Check("signature: "+claimLabel(name), j.Claims[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkKeySource checks that there is either a secret or a key_file, and that the algorithm goes
// with it.
func (j *JWT) checkKeySource() error {
	hmac := strings.HasPrefix(j.Algorithm, "HS")
	switch {
	case j.Algorithm != "" && !slices.Contains(algorithms(), j.Algorithm):
		return fmt.Errorf("signature: algorithm: %s is not one of %s", value.Quote(j.Algorithm, algorithms()...), strings.Join(algorithms(), ", "))
	case j.Secret == "" && j.KeyFile == "":
		return errors.New("signature: a secret is missing (or, for RS, PS, ES and EdDSA, a key_file); " +
			"write signature {env.NAME}")
	case value.CheckWritten("signature: secret", j.Secret) != nil:
		return value.CheckWritten("signature: secret", j.Secret)
	case j.Secret != "" && j.KeyFile != "":
		return errors.New("signature: both a secret and a key_file are given; remove one")
	case j.KeyFile != "" && hmac:
		return fmt.Errorf("signature: algorithm: %s takes a secret, not a key_file", j.Algorithm)
	case j.Secret != "" && j.Algorithm != "" && !hmac:
		return fmt.Errorf("signature: algorithm: %s takes a key_file, not a secret", j.Algorithm)
	case j.Secret != "" && !strings.ContainsAny(j.Secret, `{\`) && !value.IsSealed(j.Secret):
		return checkSecret(j.Secret)
	}
	return nil
}

// claimLabel returns what errors call a claim. A name is shown only if it is a common one, such as
// those of RFC 7519 §4.1 and OpenID Connect.
func claimLabel(name string) string {
	return value.Label("claim", name, slices.Contains([]string{"sub", "aud", "jti", "nbf", "email", "name", "groups", "roles", "scope", "tenant"}, name))
}
