// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// reloads measures how long a Caddy with many datasources, each below a route of its own, takes to
// take a new configuration.
func reloads(ctx context.Context, e *environment) ([][]string, error) {
	rows := [][]string{{"datasources", "ms", "resident MiB"}}
	for _, n := range []int{1, 1000} {
		took, resident, err := reload(ctx, e, routeEach(e, n))
		if err != nil {
			return nil, fmt.Errorf("%d datasources: %w", n, err)
		}
		rows = append(rows, []string{strconv.Itoa(n), strconv.FormatInt(took.Milliseconds(), 10), fmt.Sprintf("%.0f", float64(resident)/(1<<20))})
	}
	return rows, nil
}

func routeEach(e *environment, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "handle_path /api%05d/* {\nauthenticated_api http://%s/bearer {\nname api%05d\nauth bearer %s\n}\n}\n", i, e.upstream, i, token)
	}
	return b.String()
}

// reload loads a configuration twice, and returns how long the second time takes.
func reload(ctx context.Context, e *environment, block string) (time.Duration, int64, error) {
	p, addr, vars, err := startCaddy(ctx, e, "Caddy", block)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	dir, err := os.MkdirTemp(e.dir, "reload-")
	if err != nil {
		return 0, 0, err
	}
	admin := strings.TrimSuffix(strings.TrimPrefix(vars, "http://"), "/debug/vars")
	text := caddyfile(addr, admin, filepath.Join(dir, "storage"), block+"\nheader X-Changed yes")
	begin := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/load", strings.NewReader(text))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	took := time.Since(begin)
	if res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("the reload: %s", res.Status)
	}
	resident, err := p.memory()
	return took, resident, err
}

// idle measures what connections that do nothing occupy.
func idle(ctx context.Context, e *environment) ([][]string, error) {
	names, at, stop, err := pair(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	const n = 2000
	rows := [][]string{{"", "KiB for each idle connection of a caller"}}
	for i, r := range at {
		before, err := r.memory()
		if err != nil {
			return nil, err
		}
		for range n {
			c, err := dial(ctx, r.addr)
			if err != nil {
				return nil, err
			}
			defer c.conn.Close()
			if err := c.send(get("/bearer/items")); err != nil {
				return nil, err
			}
		}
		after, err := r.memory()
		if err != nil {
			return nil, err
		}
		rows = append(rows, []string{names[i], fmt.Sprintf("%.1f", float64(after-before)/1024/n)})
	}
	return rows, nil
}
