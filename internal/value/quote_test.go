// SPDX-License-Identifier: Apache-2.0

package value

import (
	"path/filepath"
	"testing"
)

func TestQuote(t *testing.T) {
	known := []string{"token_url", "client_secret", "scopes", "in", "pkce"}
	for word, want := range map[string]string{
		"token_url": `"token_url"`, "Token_URL": `"Token_URL"`, "token_ulr": `"token_ulr"`, "tokenurl": `"tokenurl"`, "client-secret": `"client-secret"`,
		"scope": `"scope"`, "pcke": `"pcke"`, "": `""`, "xml": `"xml"`, "cookie": `"cookie"`,
		"s3cr": "a word of 4 characters", "sk_live_51HxQ2": "a word of 14 characters", "client_secret_of_ours": "a word of 21 characters",
		"two words": "a text of 9 characters", "https://u:p@h/": "a URL of 14 characters", "übermäßig": "a word of 9 characters",
	} {
		if got := Quote(word, known...); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestShowPlaceholder(t *testing.T) {
	here := filepath.Join(t.TempDir(), "S3CRET-looking")
	for key, want := range map[string]string{
		"env.API_TOKEN": "{env.API_TOKEN}", "env.OAUTH2_CLIENT_SECRET_1": "{env.OAUTH2_CLIENT_SECRET_1}", "env.": "{env.}",
		"env.sk_live_51HxQ2": "{env.…}", "env.AKIAIOSFODNN7EXAMPLE": "{env.…}", "env.token": "{env.…}", "env.JBSWY3DPEHPK3PXP": "{env.…}",
		"file./run/secrets/api": "{file./run/secrets/api}", "file." + here: "{file." + here + "}", "file./9j4AAQSkZJRg": "{file.…}",
		"file./no/Such/f4older": "{file.…}", "file.secret": "{file.…}", "file./hunter2hunter": "{file.…}", "file./none": "{file./none}",
		"http.auth.user.id": "{http.auth.user.id}", "http.request.header.X-User": "{http.request.header.X-User}", "http.request.header.s3cret": "{http.request.header.…}",
		"system.hostname": "{system.hostname}", "s3cret.x": "{…}",
	} {
		if got := ShowPlaceholder(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}
