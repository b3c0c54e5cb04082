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
// so many connections. In random order each is as likely as any other, so that of a million hardly
// any is in the processor's caches; in Zipf order a few users ask often and most ask seldom, as
// they do. With the credential it is what a request reads of that, too.
func BenchmarkLookup(b *testing.B) {
	const asked = 1 << 18
	for _, n := range []int{1, 10_000, 1_000_000} {
		g := crowd(b, n)
		random, zipf := make([]int64, asked), make([]int64, asked)
		source := weakrand.NewZipf(weakrand.New(weakrand.NewPCG(1, 2)), 1.1, 1, uint64(n-1))
		for i := range random {
			random[i], zipf[i] = weakrand.Int64N(int64(n)), int64(source.Uint64())
		}
		for _, order := range []struct {
			name  string
			users []int64
		}{{"random", random}, {"zipf", zipf}} {
			b.Run(fmt.Sprintf("order=%s/connections=%d", order.name, n), func(b *testing.B) {
				key := make([]byte, 0, 16)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					key = strconv.AppendInt(append(key[:0], "user"...), order.users[i%asked], 10)
					if _, err := g.Source(unsafe.String(&key[0], len(key))).Credential(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("two loads/connections=%d", n), func(b *testing.B) { twoLoads(b, n, random) })
	}
}

// twoLoads is what no look-up can be faster than: to wait for the slot of a table, and then for
// what a request reads of a connection of the usual size. Nothing is compared or computed.
func twoLoads(b *testing.B, n int, users []int64) {
	type connection struct {
		number int64
		_      [unsafe.Sizeof(Connection{}) - 8]byte
	}
	type slot struct {
		_  uint64
		at *connection
	}
	slots := make([]slot, 2*n) // as empty as an index that has just grown
	for i, at := range weakrand.Perm(n) {
		slots[2*at].at = &connection{number: int64(i)}
	}
	nothing := int64(0)
	for i := 0; b.Loop(); i++ {
		// The next two wait for these, as one request's loads wait for each other.
		nothing = slots[2*(users[i%len(users)]+nothing)].at.number >> 62
	}
}

// crowd returns a gateway that has n users in memory.
func crowd(t testing.TB, n int) *gateway {
	w := newWorld(t, &issuer{life: time.Hour}, nil)
	g := w.gateway(&web{p: w.p}, func(o *options) { o.PerUser, o.CacheSize = true, n+1 })
	for i := range n {
		idleUser(t, g.Source("user"+strconv.Itoa(i)), i)
	}
	runtime.GC()
	return g
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
