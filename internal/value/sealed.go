// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// IsSealed reports whether a value is one that `caddy authenticated-api seal` has made.
func IsSealed(text string) bool { return strings.HasPrefix(text, seal.Prefix) }

// sealedElsewhere returns the error for a placeholder that brings a sealed value.
func sealedElsewhere(option, key string) error {
	return fmt.Errorf("%s: %s has a sealed value, which is opened only where it stands in the configuration itself; "+
		"write it there in the place of the placeholder", option, ShowPlaceholder(key))
}

// Opener opens sealed values. The app authenticated_api, which holds the keys, is one.
type Opener interface {
	OpenSealed(text string) (string, error)
}

// Unseal returns the text in a sealed value, and any other text as it is. It escapes the braces
// of a sealed text, which holds no placeholders. Modules call it before they resolve a value.
func Unseal(ctx caddy.Context, option, text string) (string, error) {
	if !IsSealed(text) {
		return text, nil
	}
	app, err := ctx.App("authenticated_api")
	if err != nil {
		return "", fmt.Errorf("%s: opening the sealed value: %w", option, err)
	}
	opener, ok := app.(Opener)
	if !ok {
		return "", fmt.Errorf("%s: opening the sealed value: %T has no keys", option, app)
	}
	plain, err := opener.OpenSealed(text)
	if err != nil {
		return "", fmt.Errorf("%s: opening the sealed value: %w", option, err)
	}
	return braces.Replace(plain), nil
}

// UnsealAll is Unseal for several values of one option.
func UnsealAll(ctx caddy.Context, option string, texts ...*string) error {
	for _, text := range texts {
		plain, err := Unseal(ctx, option, *text)
		if err != nil {
			return err
		}
		*text = plain
	}
	return nil
}

// Literal undoes the escapes of Unseal.
func Literal(text string) string { return escapedBraces.Replace(text) }

var (
	braces        = strings.NewReplacer("{", `\{`, "}", `\}`)
	escapedBraces = strings.NewReplacer(`\{`, "{", `\}`, "}")
)
