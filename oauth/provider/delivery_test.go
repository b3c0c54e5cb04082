// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestDelivery: what became of a request that has failed, and what is believed of its answer.
func TestDelivery(t *testing.T) {
	half := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(status)
		}
	}
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    Delivery
		refresh string // the refresh token that comes with the error
	}{
		"refused":               {oauthtest.Respond(400, `{"error":"invalid_grant"}`), Answered, ""},
		"the server fails":      {oauthtest.Respond(503, ""), Answered, ""},
		"a proxy answers":       {oauthtest.Respond(502, `{"error":"x"}`), Unsure, ""},
		"a proxy waits":         {oauthtest.Respond(504, ""), Unsure, ""},
		"Cloudflare answers":    {oauthtest.Respond(524, ""), Unsure, ""},
		"unreadable":            {oauthtest.Respond(200, "<html>"), Unsure, ""},
		"unreadable, no":        {oauthtest.Respond(400, "<html>"), Answered, ""},
		"without a token":       {oauthtest.Respond(200, `{"message":"no"}`), Answered, ""},
		"with a refresh token":  {oauthtest.Respond(200, `{"access_token":"\n","refresh_token":"r"}`), Answered, "r"},
		"an echo":               {oauthtest.Respond(400, `{"refresh_token":"****"}`), Answered, ""},
		"no answer":             {hangUp, Lost, ""},
		"half an answer":        {half(200), Lost, ""},
		"half a refusal":        {half(400), Answered, ""},
		"half a proxy's answer": {half(502), Unsure, ""},
	} {
		client := New(nil, nil)
		a, err := client.Refresh(t.Context(), configOf(oauthtest.Serve(t, tt.handler)), "old")
		client.CloseIdleConnections()
		e, ok := err.(*Error) //nolint:errorlint // it is what requests return
		if !ok || e.Delivery != tt.want || e.Delivery.Uncertain() != (tt.want == Unsure || tt.want == Lost) {
			t.Errorf("%s: %+v", name, err)
		}
		if got := a; got != nil && got.RefreshToken != tt.refresh || got == nil && tt.refresh != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	client := New(nil, nil)
	_, err := client.Refresh(t.Context(), configOf("http://127.0.0.1:1/"), "old")
	if e, ok := err.(*Error); !ok || e.Delivery != NotSent { //nolint:errorlint // it is what requests return
		t.Errorf("nobody listens: %+v", err)
	}
}
