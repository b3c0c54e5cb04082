// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Sealed is how a value begins that `caddy authenticated-api seal` has made.
const Sealed = "sealed:v1:"

// Opener opens sealed values. The app authenticated_api is one; it holds the keys.
type Opener interface {
	OpenSealed(text string) (string, error)
}

// Unseal returns text, or what is in it if it is a sealed value: with its braces escaped, since what was sealed holds no
// placeholders. Modules call it before they resolve a value.
func Unseal(ctx caddy.Context, option, text string) (string, error) {
	if !strings.HasPrefix(text, Sealed) {
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

// Literal returns the text that Unseal has returned for a sealed value as it was sealed.
func Literal(text string) string { return strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(text) }

var braces = strings.NewReplacer("{", `\{`, "}", `\}`)
