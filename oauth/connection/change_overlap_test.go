// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// overlap is two people who connect an account each, of one connection, on two gateways at
// about the same time.
type overlap struct {
	s        *web
	gateways [2]*gateway
	errs     [2]error
}

// meet has both flows end, the second one a while after the first.
func (o *overlap) meet(t *testing.T, flows [2]flow, apart time.Duration) {
	t.Helper()
	var browsers sync.WaitGroup
	for i, g := range o.gateways {
		browsers.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			o.errs[i] = g.finish(t.Context(), flows[i], fmt.Sprintf("good-%d", i))
		})
	}
	browsers.Wait()
}

// wantOne fails the test unless one of the two is connected, on both gateways, and the other
// one was told, and given back.
func (o *overlap) wantOne(t *testing.T, told error) {
	t.Helper()
	won, lost := 0, 1
	if o.errs[0] != nil {
		won, lost = 1, 0
	}
	if o.errs[won] != nil || !errors.Is(o.errs[lost], told) {
		t.Fatalf("the browsers were told %v and %v", o.errs[0], o.errs[1])
	}
	want := []string{fmt.Sprintf("refresh-of-good-%d", lost), fmt.Sprintf("of-good-%d", lost)}
	if got := o.s.revoked(); !slices.Equal(got, want) {
		t.Errorf("%q was revoked, want %q", got, want)
	}
	for range 30 {
		for i, g := range o.gateways {
			if got, err := g.serves(t, ""); got != fmt.Sprintf("of-good-%d", won) {
				t.Fatalf("gateway %d serves %q, %v", i, got, err)
			}
		}
		time.Sleep(time.Second)
	}
}

// slowWrites has each write of a gateway land after a while.
func slowWrites(w *world, g *gateway, delay time.Duration) {
	n := &node{disk: w.disk, end: w.end, Source: g.shared}
	n.before.set(func(step string) {
		if step == stepStore {
			time.Sleep(delay)
		}
	})
	g.shared.records().store.Storage = n
}

// link returns a flow of a new ticket.
func (g *gateway) link(t *testing.T) flow {
	t.Helper()
	base, err := g.shared.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return flow{ticket: true, connected: record.Millis(base.Connected)}
}

// TestConnectedTwice: two flows of one connection end on two nodes at once. One account is
// connected, and whoever has lost is told, and their grant is given back.
func TestConnectedTwice(t *testing.T) {
	kinds := map[string]struct {
		begin func(t *testing.T, g [2]*gateway) [2]flow
		told  error
	}{
		"one link": {func(t *testing.T, g [2]*gateway) (flows [2]flow) {
			ticket := g[0].link(t)
			for i := range flows {
				flows[i] = ticket
			}
			return flows
		}, errUsed},
		"two links": {func(t *testing.T, g [2]*gateway) (flows [2]flow) {
			for i := range flows {
				flows[i] = g[i].link(t)
			}
			return flows
		}, errUsed},
		"two browsers": {func(*testing.T, [2]*gateway) (flows [2]flow) { return flows }, ErrOvertaken},
	}
	for name, kind := range kinds {
		for before, prepare := range map[string]func(t *testing.T, o *overlap){
			"nothing":    func(*testing.T, *overlap) {},
			"an account": func(t *testing.T, o *overlap) { o.gateways[0].connect(t, "", "good-before") },
			"a disconnect": func(t *testing.T, o *overlap) {
				o.gateways[0].connect(t, "", "good-before")
				if err := o.gateways[1].shared.Disconnect(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			"a dead token": func(t *testing.T, o *overlap) {
				o.gateways[0].connect(t, "", "good-before")
				time.Sleep(61 * time.Minute)
				o.s.p.dead = true
				if _, err := o.gateways[0].serves(t, ""); err == nil {
					t.Fatal("it is alive")
				}
				time.Sleep(30 * time.Second)
			},
		} {
			for _, apart := range []time.Duration{0, 50 * time.Millisecond, 250 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s after %s, %v apart", name, before, apart), func(t *testing.T) {
					bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
						s := &web{p: w.p, unlike: true}
						o := &overlap{s: s, gateways: [2]*gateway{w.gateway(s, revokes), w.gateway(s, revokes)}}
						for _, g := range o.gateways { // a write takes a while, so that both have read what was there before
							slowWrites(w, g, 100*time.Millisecond)
						}
						prepare(t, o)
						flows := kind.begin(t, o.gateways)
						s.forms = nil
						// The provider takes a moment, so that both look at the connection
						// before either has come back.
						s.slow = 400 * time.Millisecond
						o.meet(t, flows, apart)
						s.slow = 0
						o.wantOne(t, kind.told)
					})
				})
			}
		}
	}
}

// TestConnectedTwiceTooLate: the write of one of two accounts is so late that the other one was
// seen to stand. It counts all the same, and the node that has connected the other one notices,
// and gives it back.
func TestConnectedTwiceTooLate(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p, unlike: true}
		a, b := w.gateway(s, revokes), w.gateway(s, revokes)
		slowWrites(w, a, 1500*time.Millisecond)
		var browser sync.WaitGroup
		browser.Go(func() { a.connect(t, "", "good-late") })
		time.Sleep(100 * time.Millisecond)
		b.connect(t, "", "good-early")
		browser.Wait()
		time.Sleep(10 * time.Second)
		for _, g := range []*gateway{a, b} {
			if got, err := g.serves(t, ""); got != "of-good-late" {
				t.Errorf("%q, %v", got, err)
			}
		}
		if got, want := s.revoked(), []string{"refresh-of-good-early", "of-good-early"}; !slices.Equal(got, want) {
			t.Errorf("%q was revoked, want %q", got, want)
		}
	})
}

// TestConnectAndDisconnect: an account is connected on one node while the one before is
// disconnected on another. It is as if one had come after the other: what is stored is what
// both have been told.
func TestConnectAndDisconnect(t *testing.T) {
	for _, apart := range []time.Duration{-300 * time.Millisecond, -10 * time.Millisecond, 0, 10 * time.Millisecond, 300 * time.Millisecond} {
		for _, delay := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v apart, %v", apart, delay), func(t *testing.T) {
				bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
					s := &web{p: w.p, unlike: true}
					a, b := w.gateway(s, revokes), w.gateway(s, revokes)
					a.connect(t, "", "good-before")
					if _, err := b.serves(t, ""); err != nil {
						t.Fatal(err)
					}
					slowWrites(w, b, delay)
					var people sync.WaitGroup
					people.Go(func() {
						time.Sleep(max(0, apart))
						a.connect(t, "", "good-after")
					})
					people.Go(func() {
						time.Sleep(max(0, -apart))
						if err := b.shared.Disconnect(t.Context()); err != nil {
							t.Error(err)
						}
					})
					people.Wait()
					time.Sleep(30 * time.Second)
					one, _ := a.serves(t, "")
					two, _ := b.serves(t, "")
					given := slices.Contains(s.revoked(), "refresh-of-good-after")
					if one != two || given != (one == "") {
						t.Errorf("%q and %q are served; the new account was given back: %t", one, two, given)
					}
				})
			})
		}
	}
}
