// SPDX-License-Identifier: Apache-2.0

//go:build !race

package connection

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestConnectionSize: what all requests read of a connection is in two lines of the processor's
// cache, of which a third would be waited for.
func TestConnectionSize(t *testing.T) {
	if size := unsafe.Sizeof(Connection{}); size != 128 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a connection has %d bytes; what few requests read belongs into upkeep", size)
	}
}

// TestAllocsInMemory holds what a connection costs that a request has read from the storage: at
// most 450 bytes beside its token and the credential that is made of that, also once the token was
// renewed and the record looked at again.
func TestAllocsInMemory(t *testing.T) {
	const users = 5000
	name := func(i int) string { return fmt.Sprintf("user-%06d@example.com", i) }
	w := newWorld(t, &issuer{life: time.Hour}, nil)
	storing := w.gateway(&web{p: w.p}, perUser)
	for i := range users {
		token := newToken(&provider.Answer{
			AccessToken: fmt.Sprintf("%040d", i), RefreshToken: fmt.Sprintf("%040d", i), Lifetime: time.Hour,
		}, time.Now(), record.Term{}, nil)
		token.Generation, token.Connected, token.By.User = 1, time.Now(), name(i)
		if err := storing.Source(name(i)).store.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	g := w.gateway(&web{p: w.p}, func(o *options) { o.PerUser, o.CacheSize = true, 2*users })
	tokens, credentials := make([]*record.Token, users), make([]*auth.Credential, users)
	for i := range users {
		s := g.Source(name(i))
		if _, err := s.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		op, _ := s.records().startRecheck(time.Now())
		<-op.done
		_ = s.conn.claimant() // as after a renewal
		tokens[i], credentials[i] = s.Token(), s.Current()
	}
	all := heapSize()
	runtime.KeepAlive(g)
	own := heapSize()
	runtime.KeepAlive(tokens)
	runtime.KeepAlive(credentials)
	each := (all - own) / users
	own = (own - heapSize()) / users
	runtime.KeepAlive(w)
	t.Logf("%d bytes for each connection, and %d for its token and credential", each, own)
	if each > 450 {
		t.Errorf("a connection takes %d bytes, more than 450", each)
	}
	if own < 200 {
		t.Errorf("%d bytes for a token: the measurement is wrong", own)
	}
}

// heapSize returns how much memory is in use.
func heapSize() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestAllocsLookup: finding a connection among many, and its credential, allocates nothing, for
// names that are in the connection and for longer ones.
func TestAllocsLookup(t *testing.T) {
	w := newWorld(t, &issuer{life: time.Hour}, nil)
	g := w.gateway(&web{p: w.p}, func(o *options) { o.PerUser, o.CacheSize = true, 3000 })
	var names []string
	for i := range 1000 {
		names = append(names, "user"+strconv.Itoa(i), strings.Repeat("long", 20)+strconv.Itoa(i))
	}
	for i, name := range names {
		idleUser(t, g.Source(name), i)
	}
	i := 0
	n := testing.AllocsPerRun(10_000, func() {
		i++
		name := names[i*7%len(names)]
		if c, err := g.Source(name).Credential(t.Context()); err != nil || c == nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
