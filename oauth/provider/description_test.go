// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestDescribe: what cannot be seen is out, it is short, and no part of a character is left.
func TestDescribe(t *testing.T) {
	long := strings.Repeat("ä", 200) // two bytes each
	for text, want := range map[string]string{
		"": "", " ": "", "\x00\x1b\x7f": "",
		"AADSTS70043: The refresh token has expired.\r\nTrace ID: 1\r\nTimestamp: 2": "AADSTS70043: The refresh token has expired. Trace ID: 1 Timestamp: 2",
		"a\x1b[31mred\x1b[0m\tb":         "a[31mred[0m b",
		"a\u202eb\u200b\ufeff\u2066c":    "abc",
		"a\u0085b\u2028c\u00a0d":         "a b c d",
		"a\xff\xfeb\ufffdc":              "abc",
		"<script>alert(1)</script>":      "<script>alert(1)</script>", // whoever shows it escapes it
		long:                             strings.Repeat("ä", 150),
		"x" + long:                       "x" + strings.Repeat("ä", 149),
		strings.Repeat("a b", 1_000_000): strings.TrimSpace(strings.Repeat("a b", 100)),
	} {
		if got := describe(text); got != want || len(got) > maxDescription || !utf8.ValidString(got) {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

// TestDescribeSecrets: no secret is shown, in no form and in no part.
func TestDescribeSecrets(t *testing.T) {
	const secret, token = "s3cr3t/of+the~client=9", "eyJhbGciOi.payload-of-the-token.sig"
	for name, text := range map[string]string{
		"plain": secret, "in a sentence": "client secret '" + secret + "' is wrong", "escaped": url.QueryEscape(secret), "of a path": url.PathEscape(secret),
		"in capitals": strings.ToUpper(secret), "in hexadecimal": hex.EncodeToString([]byte(secret)), "cut": secret[:12] + "...", "its end": "…" + secret[9:],
		"twice": secret + secret, "glued": "x" + secret + "y", "token": token, "token, cut": token[:20], "in a URL": "https://x/?t=" + url.QueryEscape(token),
		"Basic":                      base64.StdEncoding.EncodeToString([]byte("gateway:" + secret)),
		"base64":                     base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 2":                   base64.StdEncoding.EncodeToString([]byte("ab" + token)),
		"at the border":              strings.Repeat("x ", maxDescription/2-4) + secret,
		"between control characters": "s3cr3t/of\x00+the~client=9", "behind much": strings.Repeat("\x00", 1000) + secret,
	} {
		got := describe(text, "", secret, token, base64.StdEncoding.EncodeToString([]byte("gateway:"+secret)))
		for _, hidden := range []string{secret, token} {
			for _, form := range forms(hidden) {
				for i := 0; i+gram <= len(form); i++ {
					if strings.Contains(strings.ToLower(got), strings.ToLower(form[i:i+gram])) {
						t.Fatalf("%s: %q shows %q", name, got, form[i:i+gram])
					}
				}
			}
		}
		if !strings.Contains(got, "•") {
			t.Errorf("%s: nothing is cut in %q", name, got)
		}
	}
	// What is no secret stays.
	for text, want := range map[string]string{
		"Invalid client secret for the second time": "Invalid client secret for the second time",
		"the secret sec is wrong, or is it ünsec":   "the secret ••• is wrong, or is it ünsec",
		"sec":        "•••",
		"sec, (sec)": "•••, (•••)",
	} {
		if got := describe(text, "sec"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestDescriptionOfAnswers: where it stands, and that it is of an error.
func TestDescriptionOfAnswers(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"invalid_grant","error_description":"a\u00e4\nb"}`:           "a\u00e4\nb",
		`error=invalid_grant&error_description=a+b%3B`:                         "a b;",
		`{"error":"invalid_grant: Token is expired or invalid."}`:              " Token is expired or invalid.",
		`{"error":"invalid_grant: x","error_description":"y"}`:                 "y",
		`{"error":"invalid_grant","error_description":["a"]}`:                  "",
		`{"error":"invalid_grant","error_description":1}`:                      "",
		`{"access_token":"a","error_description":"a"}`:                         "",
		`{"access_token":"a","error":"","error_description":"a"}`:              "",
		`{"error":{"code":1},"error_description":"of an error in other form"}`: "of an error in other form",
	} {
		if got, err := parseAnswer([]byte(body)); err != nil || got.description != want {
			t.Errorf("%s: %q, %v", body, got.description, err)
		}
	}
}

// FuzzDescribe: whatever a provider writes, it is short, printable, and without the secret.
func FuzzDescribe(f *testing.F) {
	secret := seal.NewKey()
	for _, text := range []string{"", secret, "a" + secret + "b", secret[:20], strings.Repeat(secret, 30), "\xff" + secret, "ä\u202e\r\n\x1b[2J"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := describe(text, secret)
		if len(got) > maxDescription || !utf8.ValidString(got) || got != printable(got) || strings.Contains(got, secret) {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}
