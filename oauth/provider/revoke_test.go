// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRevokePanics: whatever an answer has our code do, the process goes on: tokens are revoked in
// the background, where nothing else recovers.
func TestRevokePanics(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request","error_description":"no"}`)
	}))
	defer server.Close()
	cfg := &Config{RevocationURL: server.URL, ClientID: "i", Timeout: time.Minute, Tokens: func() []string { panic("canary-of-a-panic") }}
	err := New(nil, nil).Revoke(t.Context(), cfg, "access", "refresh")
	if err == nil || !strings.Contains(err.Error(), "panicked with a string") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}
