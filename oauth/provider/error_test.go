// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestBodies: what is no token answer is an error, whatever it is labelled as.
func TestBodies(t *testing.T) {
	for _, body := range []string{
		"", "<html>" + oauthtest.BodyText + "</html>", "<?xml version='1.0'?><a>" + oauthtest.BodyText + "</a>", oauthtest.BodyText, "[1," + oauthtest.BodyText + "]",
		`{"access_token":"` + oauthtest.BodyText + `\r\n"}`, `{"Access_Token":"` + oauthtest.BodyText + `"}`,
		`{"access_token":["` + oauthtest.BodyText + `"]}`, `{"` + oauthtest.BodyText + `":1}`, `{"access_token":` + nested(10_001) + `}`,
		`{"error":"invalid_client","error_description":"` + oauthtest.BodyText + `","refresh_token":"` + oauthtest.BodyText + `"}`,
	} {
		for _, contentType := range []string{"application/json", "text/html; charset=utf-16", "text/plain", formType, "", ";", "multipart/mixed"} {
			for _, status := range []int{200, 201, 400, 404, 500} {
				if err := attemptAt(t, oauthtest.Serve(t, oauthtest.Respond(status, body, "Content-Type", contentType))); err == nil {
					t.Errorf("%d %q %.60s: no error", status, contentType, body)
				}
			}
		}
	}
	// A wrong label does not lose a good token.
	for _, contentType := range []string{"application/json", "text/html", "text/plain", formType, "", ";", "application/problem+json"} {
		if err := attemptAt(t, oauthtest.Serve(t, oauthtest.Respond(200, `{"access_token":"t","expires_in":"x"}`, "Content-Type", contentType))); err != nil {
			t.Errorf("%q: %v", contentType, err)
		}
	}
	// But a failure's status is one, though there is a token.
	for _, status := range []int{204, 206, 400, 401, 403, 404, 418, 429, 500, 503} {
		err := attemptAt(t, oauthtest.Serve(t, oauthtest.Respond(status, `{"access_token":"t"}`)))
		if failed := err != nil; failed != (status != 206) {
			t.Errorf("%d with a token: %v", status, err)
		}
	}
}

// TestOAuthErrors: only the errors by which a provider refuses a client make a rejection,
// and no server that is down.
func TestOAuthErrors(t *testing.T) {
	final := []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target",
		"access_denied",
	}
	codes := append(slices.Clone(final), "server_error", "temporarily_unavailable", "slow_down", "Invalid_Client", "")
	for _, status := range []int{200, 400, 401, 403, 429, 500, 503} {
		for _, code := range codes {
			const said = "AADSTS7000215: the cause"
			body := fmt.Sprintf(`{"error":%q,"error_description":%q,"error_uri":%q}`, code, said, "https://x/"+oauthtest.BodyText)
			err, ok := attemptAt(t, oauthtest.Serve(t, oauthtest.Respond(status, body, "WWW-Authenticate", `Basic realm="`+oauthtest.BodyText+`"`))).(*Error) //nolint:errorlint // it is what requests return
			switch {
			case !ok:
				t.Errorf("%d %s: no *Error", status, code)
			case err.Status != status || err.Code != code || !strings.HasPrefix(err.Host, "127.0.0.1:"):
				t.Errorf("%d %s: %+v", status, code, err)
			case (err.Description == said) != (code != "") || (code != "") != strings.Contains(err.Error(), said):
				t.Errorf("%d %s: it says %q", status, code, err.Description)
			case err.Rejected() != (slices.Contains(final, code) && status < 429):
				t.Errorf("%d %s: rejected: %v", status, code, err.Rejected())
			case oauthtest.Leaks(err.Remedy()) != nil || err.Remedy() == "":
				t.Errorf("%d %s: the remedy is %q", status, code, err.Remedy())
			}
		}
	}
}

// TestRemedies: an operator is told what to do by the option's name.
func TestRemedies(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		want   string
	}{
		{401, "invalid_client", "client_secret_basic_raw"},
		{400, "invalid_client", "client_secret_post"},
		{400, "invalid_scope", "scopes"},
		{400, "invalid_target", "audience and resource"},
		{400, "unauthorized_client", "grant"},
		{400, "unsupported_grant_type", "grant"},
		{400, "invalid_request", "token_request"},
		{429, "", "wait"},
		{404, "", "token_url"},
		{405, "", "token_url"},
		{302, "", "final URL"},
		{500, "", "asked again"},
		{200, "", "token_url"},
		{0, "", "self_signed_cert"},
	} {
		if got := (&Error{Status: tt.status, Code: tt.code}).Remedy(); !strings.Contains(got, tt.want) {
			t.Errorf("%d %q: %q does not name %s", tt.status, tt.code, got, tt.want)
		}
	}
}
