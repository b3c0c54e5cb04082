// SPDX-License-Identifier: Apache-2.0

package clean_test

import (
	"net/http"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
)

func TestResponsesAllocations(t *testing.T) {
	own := []string{"X-Appsmith-Signature", "Authorization"}
	cleaner := clean.NewResponses(clean.Carried{Fields: own, Secrets: []string{"value-of-an-edit"}}, clean.NewRequests(clean.Own{Fields: own}, nil), nil)
	sent := &clean.Sent{Secrets: secret.Lists{secret.Of("token-of-the-gateway"), secret.Of("demo"), {"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVk"}}}
	h := http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`W/"0123456789abcdef0123456789abcdef"`}, "X-Total": {"42"},
		"X-Next": {"https://api.example.com/items?cursor=eyJhbGciOiJIUzI1NiJ9.e30.b3RoZXI%3D&next=%252Fa%2520b+c"}, "X-Page": {"democracy%20demo_"},
	}
	if n := testing.AllocsPerRun(100, func() {
		cleaner.Header(h)
		cleaner.Secrets(h, sent)
	}); n != 0 {
		t.Errorf("%v allocations for an answer that shows nothing", n)
	}
	if len(h) != 5 {
		t.Errorf("of the fields %v are left", h)
	}
}
