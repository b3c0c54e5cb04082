// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"fmt"
	weakrand "math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// BenchmarkLookup is the way of a request from the name of its connection to the credential, among
// so many connections, each as likely as any other: with a million of them hardly anything is in
// the processor's caches.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			w := newWorld(b, &issuer{life: time.Hour}, nil)
			g := w.gateway(&web{p: w.p}, func(o *options) { o.PerUser, o.CacheSize = true, n+1 })
			for i := range n {
				idleUser(b, g.Source("user"+strconv.Itoa(i)), i)
			}
			runtime.GC()
			key := make([]byte, 0, 16)
			b.ReportAllocs()
			for b.Loop() {
				key = strconv.AppendInt(append(key[:0], "user"...), weakrand.Int64N(int64(n)), 10)
				if _, err := g.Source(unsafe.String(&key[0], len(key))).Credential(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// idleUser gives a connection a token of an hour, as a reading of its record does.
func idleUser(t testing.TB, s *Source, i int) {
	t.Helper()
	answer := &provider.Answer{AccessToken: fmt.Sprintf("%040d", i), RefreshToken: fmt.Sprintf("%040d", i), Lifetime: time.Hour}
	token := newToken(answer, time.Now(), record.Term{}, nil)
	token.Generation, token.Connected = 1, time.Now()
	s.conn.token.Store(token)
	s.conn.recheckAt.Store(time.Now().Add(time.Hour).UnixNano())
	if _, err := s.Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
}
