// SPDX-License-Identifier: Apache-2.0

//go:build !race

// The race detector makes sync.Pool forget, so this test is built without it.

package signature_test

import (
	"runtime"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// TestAllocsSign holds a token that is made for one request to two allocations and 400 bytes above
// one that is used again, which costs nothing.
func TestAllocsSign(t *testing.T) {
	j := provision(t, &signature.JWT{Secret: secret32, Audience: "https://api.example.com", KeyID: "k1", Claims: map[string]string{
		"sub": "{http.auth.user.id}", "env": "prod",
	}})
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "ann@example.com")
	sign := func() {
		if _, err := j.Sign(repl); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, sign); n > 2 {
		t.Errorf("%v allocations, more than 2", n)
	}
	const n = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		sign()
	}
	runtime.ReadMemStats(&after)
	if size := (after.TotalAlloc - before.TotalAlloc) / n; size > 400 {
		t.Errorf("%d bytes, more than 400", size)
	}
}

func BenchmarkSign(b *testing.B) {
	j := &signature.JWT{Secret: secret32, Claims: map[string]string{"sub": "{http.auth.user.id}"}}
	if err := j.Provision(caddy.Context{}); err != nil {
		b.Fatal(err)
	}
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "ann@example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Sign(repl); err != nil {
			b.Fatal(err)
		}
	}
}
