// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the upstream and httputil, as the command's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "upstream" || os.Args[1] == "httputil") {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRight: the upstream takes each kind's own credential and no other, so that a target that
// forgets it cannot be measured.
func TestRight(t *testing.T) {
	u := &upstream{tokens: map[string]access{
		"theirs": {clientID, time.Now().Add(time.Hour)}, "past": {clientID, time.Now().Add(-time.Second)}, "ann's": {"user000001", time.Now().Add(time.Hour)},
	}, spent: map[string]bool{}}
	for _, test := range []struct {
		kind, head string
		want       bool
	}{
		{"plain", "GET /plain HTTP/1.1\r\n\r\n", true},
		{"bearer", "GET / HTTP/1.1\r\nauthorization: Bearer " + token + "\r\n\r\n", true},
		{"bearer", "GET / HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n", false},
		{"bearer", "GET / HTTP/1.1\r\n\r\n", false},
		{"basic", "GET / HTTP/1.1\r\nAuthorization: " + basicValue + "\r\n\r\n", true},
		{"key", "GET / HTTP/1.1\r\nX-Api-Key: " + token + "\r\n\r\n", true},
		{"query", "GET /query?api_key=" + token + " HTTP/1.1\r\n\r\n", true},
		{"query", "GET /query HTTP/1.1\r\n\r\n", false},
		{"oauth", "GET / HTTP/1.1\r\nAuthorization: Bearer theirs\r\n\r\n", true},
		{"oauth", "GET / HTTP/1.1\r\nAuthorization: Bearer past\r\n\r\n", false},
		{"signed", "GET / HTTP/1.1\r\nAuthorization: Bearer theirs\r\nX-Appsmith-Signature: a.b.c\r\n\r\n", false},
		{"users", "GET / HTTP/1.1\r\nAuthorization: Bearer ann's\r\nX-User: user000001\r\n\r\n", true},
		{"users", "GET / HTTP/1.1\r\nAuthorization: Bearer ann's\r\nX-User: user000002\r\n\r\n", false},
		{"users", "GET / HTTP/1.1\r\nAuthorization: Bearer theirs\r\nX-User: benchmark\r\n\r\n", false},
		{"no such kind", "GET / HTTP/1.1\r\n\r\n", false},
	} {
		var q request
		if err := q.read(bufio.NewReader(strings.NewReader(test.head))); err != nil {
			t.Fatal(err)
		}
		if got := u.right(test.kind, &q); got != test.want {
			t.Errorf("%s: %q: %v, want %v", test.kind, test.head, got, test.want)
		}
	}
}

// TestRound runs Go's own proxy, the upstream and one round: the figures are those of requests
// that were answered.
func TestRound(t *testing.T) {
	s, err := parse([]string{"-rounds", "2", "-time", "50ms", "-connections", "2", "-counted", "100"})
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{settings: s, dir: t.TempDir()}
	if err := e.startAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.api.stop()
	r, err := httputilAlone(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	one := &figures{target: target{name: headerUp, base: headerUp}, running: r, at: map[int]*series{}}
	if one.mallocs, one.bytes, err = allocations(t.Context(), r, 100); err != nil || one.mallocs < 20 || one.bytes < 1000 {
		t.Errorf("%.1f mallocs, %.1f bytes, %v", one.mallocs, one.bytes, err)
	}
	if err := measure(t.Context(), s, []*figures{one}); err != nil {
		t.Fatal(err)
	}
	if a := one.at[2]; a.requested == 0 || len(a.ratio) != 2 || len(a.perSecond) != 2 || a.median[0] <= 0 || a.slow[0] < a.median[0] {
		t.Errorf("%+v", a)
	}
	var out strings.Builder
	costs(2, []*figures{one}).table(&out)
	if !strings.Contains(out.String(), "| "+headerUp+" | ") {
		t.Errorf("the table is %s", out.String())
	}
}

// TestBad: a proxy that puts another credential on requests, or answers by itself, is not
// measured.
func TestBad(t *testing.T) {
	s, err := parse([]string{"-rounds", "1", "-time", "20ms", "-connections", "1"})
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{settings: s, dir: t.TempDir()}
	if err := e.startAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.api.stop()
	wrong := &running{process: e.api, addr: e.upstream, next: always(get("/bearer/items"))}
	if err := measure(t.Context(), s, []*figures{{target: target{name: headerUp, base: headerUp}, running: wrong, at: map[int]*series{}}}); !errors.Is(err, errStatus) {
		t.Errorf("the round of a proxy without credential: %v", err)
	}
	empty := &running{process: e.api, addr: emptyServer(t), next: always(get("/bearer/items"))}
	if _, err := load(t.Context(), empty.addr, 1, 20*time.Millisecond, empty.next); err == nil {
		t.Error("answers without a body were counted")
	}
}

// emptyServer answers 200 and nothing, as Caddy does to a host that it does not know.
func emptyServer(t *testing.T) string {
	addr, err := free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := &http.Server{Addr: addr, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "")
	})}
	go func() {
		defer cancel()
		_ = server.ListenAndServe()
	}()
	t.Cleanup(func() { _ = server.Close() })
	for {
		if c, err := dial(ctx, addr); err == nil {
			c.conn.Close()
			return addr
		}
		if ctx.Err() != nil {
			t.Fatal("the server has not begun")
		}
	}
}

// TestQuartiles: the figures of the tables are medians with the quartiles around them.
func TestQuartiles(t *testing.T) {
	for _, test := range []struct {
		all               []float64
		low, middle, high float64
	}{
		{nil, 0, 0, 0},
		{[]float64{2}, 2, 2, 2},
		{[]float64{4, 1, 3, 2, 5}, 2, 3, 4},
		{[]float64{1, 2}, 1.25, 1.5, 1.75},
	} {
		if low, middle, high := quartiles(test.all); low != test.low || middle != test.middle || high != test.high {
			t.Errorf("%v: %v %v %v", test.all, low, middle, high)
		}
	}
}

// TestPicture: the picture is XML whatever the targets are called.
func TestPicture(t *testing.T) {
	drawn := svg("a < b & c", "%.2f", []bar{{"<ours>", 0.5, 0.7, 0.9, true}, {"theirs", 1, 1, 1, false}})
	if strings.Contains(drawn, "<ours>") || strings.Contains(drawn, "b & c") || strings.Count(drawn, "<rect") != 3 {
		t.Error(drawn)
	}
}

// TestCurves: the picture has a point for each number of connections and each target that was
// measured; the lowest costs are the lowest points.
func TestCurves(t *testing.T) {
	at := map[int]*series{1: {user: []float64{30}, system: []float64{10}}, 32: {user: []float64{15}, system: []float64{5}}}
	drawn := curves([]int{1, 32}, []*figures{
		{target: target{name: headerUp}, running: &running{}, at: at},
		{target: target{name: "nobody draws it"}, running: &running{}, at: at},
		{target: target{name: "ours, bearer"}, lacking: errLacking},
	})
	if strings.Count(drawn, "<circle") != 2 || !strings.Contains(drawn, `points="60.0,44.0 500.0,192.0"`) || strings.Contains(drawn, "nobody") {
		t.Error(drawn)
	}
	var node struct{ XMLName xml.Name }
	if err := xml.Unmarshal([]byte(drawn), &node); err != nil {
		t.Error(err)
	}
}
