// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// refused compares a request whose token is refused, fetched anew and sent again to one that is
// served at once. A token that is refused soon after it was fetched is not fetched again, so each
// refusal is of a datasource of its own.
func refused(ctx context.Context, e *environment) ([][]string, error) {
	const datasources = 100
	var block strings.Builder
	for i := range datasources {
		fmt.Fprintf(&block, "handle_path /%d/* {\n%s\n}\n", i, oauthBlock(e, "86400", "name api"+strconv.Itoa(i)))
	}
	p, addr, _, err := startCaddy(ctx, e, "Caddy", block.String())
	if err != nil {
		return nil, err
	}
	defer p.stop()
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	var served, again []float64
	for i := range datasources {
		for step, path := range []string{"later", "later", "now"} {
			request := get(fmt.Sprintf("/%d/refuse/%s", i, path))
			begin := time.Now()
			if err := c.send(request); err != nil {
				return nil, err
			}
			took := float64(time.Since(begin).Microseconds())
			switch step {
			case 1: // the first one waited for a token
				served = append(served, took)
			case 2:
				again = append(again, took)
			}
		}
	}
	return [][]string{
		{"", "median µs", "×"},
		{"served at once", fmt.Sprintf("%.0f", median(served)), "1.0"},
		{"refused, renewed, sent again", fmt.Sprintf("%.0f", median(again)), fmt.Sprintf("%.1f", median(again)/median(served))},
	}, nil
}

// expiries compares the tail of the latencies where tokens end to where they do not.
func expiries(ctx context.Context, e *environment) ([][]string, error) {
	rows := [][]string{{"", "requests", "failed", "p50 µs", "p99 µs", "p99.9 µs"}}
	for _, kind := range []struct{ name, life string }{{"a token that lasts", "86400"}, {"a token for 5 s", "5"}} {
		p, addr, _, err := startCaddy(ctx, e, "Caddy", oauthBlock(e, kind.life, ""))
		if err != nil {
			return nil, err
		}
		if err := count(ctx, addr, 500, always(get("/oauth/items"))); err != nil {
			p.stop()
			return nil, err
		}
		r, err := load(ctx, addr, 32, 20*time.Second, always(get("/oauth/items")))
		p.stop()
		if err != nil {
			return nil, err
		}
		us := func(share float64) string { return strconv.FormatInt(r.at(share).Microseconds(), 10) }
		rows = append(rows, []string{kind.name, strconv.Itoa(r.requests), strconv.Itoa(r.bad), us(0.5), us(0.99), us(0.999)})
	}
	return rows, nil
}

// stampede sends many first requests at once, to a Caddy that has no token yet. The provider
// takes 200 ms.
func stampede(ctx context.Context, e *environment) ([][]string, error) {
	rows := [][]string{{"callers at once", "answered with 200", "token requests", "ms until the last"}}
	for _, n := range []int{100, 1000, 9500} {
		row, err := stampedeOf(ctx, e, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func stampedeOf(ctx context.Context, e *environment, n int) ([]string, error) {
	before, err := fetched(ctx, e)
	if err != nil {
		return nil, err
	}
	p, addr, _, err := startCaddy(ctx, e, "Caddy", oauthBlock(e, "86400/200", "transport http {\nmax_conns_per_host 512\n}"))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	clients := make([]*client, n)
	for i := range clients {
		if clients[i], err = dial(ctx, addr); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		defer clients[i].conn.Close()
	}
	var good atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for _, c := range clients {
		group.Go(func() {
			if c.send(get("/oauth/items")) == nil {
				good.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	after, err := fetched(ctx, e)
	return []string{strconv.Itoa(n), strconv.FormatInt(good.Load(), 10), strconv.Itoa(after - before), strconv.FormatInt(took.Milliseconds(), 10)}, err
}

// fetched returns how many token requests the upstream has had.
func fetched(ctx context.Context, e *environment) (int, error) {
	res, err := ask(ctx, http.MethodGet, "http://"+e.upstream+"/fetched", nil, 0)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// ask sends a request with net/http and wants 200.
func ask(ctx context.Context, method, target string, body io.Reader, length int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = length
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		text, _ := bufio.NewReader(res.Body).ReadString('\n')
		res.Body.Close()
		return nil, fmt.Errorf("%s %s: %s %s", method, target, res.Status, text)
	}
	return res, nil
}
