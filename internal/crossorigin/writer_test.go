// SPDX-License-Identifier: Apache-2.0

package crossorigin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestWriter has an allowed page read a response with all its header fields, and no other page.
func TestWriter(t *testing.T) {
	for from, want := range map[string]string{app: app, "https://evil.test": "", "": ""} {
		recorder := httptest.NewRecorder()
		req := request("GET")
		if from != "" {
			req = request("GET", "Origin", from)
		}
		w, _ := rule(t, app).Check(recorder, req)
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-B", "1")
		w.Header().Set("X-A", "1")
		w.Header().Set("Set-Cookie", "a=1")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		_, _ = w.Write([]byte("o"))
		_, _ = w.Write([]byte("k"))
		h := recorder.Header()
		if got := h.Get("Access-Control-Allow-Origin"); got != want || recorder.Body.String() != "ok" {
			t.Errorf("%q: Access-Control-Allow-Origin %q, body %q", from, got, recorder.Body)
		}
		exposed := ""
		if want != "" {
			exposed = "Vary, X-A, X-B"
		}
		if got := h.Get("Access-Control-Expose-Headers"); got != exposed {
			t.Errorf("%q: Access-Control-Expose-Headers %q", from, got)
		}
	}
}
