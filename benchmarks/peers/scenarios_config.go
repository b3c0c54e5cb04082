// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// reloadRounds is how often each configuration is loaded anew.
const reloadRounds = 5

// reloads measures what it takes a Caddy to take a new configuration: with many datasources below
// routes of their own, and in a catalogue; as a Caddyfile, and as JSON, which is what the command
// caddy reload sends. The unit of the ratios is a Caddyfile with a thousand routes. A map of
// Caddy's with as many words as the catalogue shows what reading a configuration costs alone.
func reloads(ctx context.Context, e *environment) ([][]string, error) {
	const unit = 1
	configs := []struct {
		name, block string
		json        bool
	}{
		{"1 route", routeEach(e, 1), false},
		{"1,000 routes", routeEach(e, 1000), false},
		{"1,000 routes, as JSON", routeEach(e, 1000), true},
		{"a catalogue of 10,000", catalogueOf(e, 10_000), false},
		{"a catalogue of 10,000, as JSON", catalogueOf(e, 10_000), true},
		{"Caddy's map, 10,000 lines", mapOf(e, 10_000), false},
	}
	running := make([]*reloading, len(configs))
	for i, c := range configs {
		r, err := startReloading(ctx, e, c.block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		r.json = c.json
		defer r.stop()
		running[i] = r
	}
	for round := range reloadRounds {
		for _, r := range running {
			if err := r.reload(ctx, round); err != nil {
				return nil, err
			}
		}
	}
	rows := [][]string{{"datasources", "ms", "CPU ms", "CPU × 1,000 routes", "resident MiB"}}
	for i, c := range configs {
		resident, err := running[i].memory()
		if err != nil {
			return nil, err
		}
		used := median(running[i].used)
		rows = append(rows, []string{
			c.name, fmt.Sprintf("%.0f", median(running[i].took)), fmt.Sprintf("%.0f", used),
			fmt.Sprintf("%.2f", used/median(running[unit].used)), fmt.Sprintf("%.0f", float64(resident)/(1<<20)),
		})
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

func catalogueOf(e *environment, n int) string {
	return directive("authenticated_apis", n, func(i int) string {
		return fmt.Sprintf("api%05d http://%s/bearer {\nauth bearer %s\n}", i, e.upstream, token)
	})
}

// mapOf has seven words a line, which is what an entry of catalogueOf has, and does nothing.
func mapOf(e *environment, n int) string {
	return directive("map {path} {a} {b} {c} {d} {e} {f}", n, func(i int) string {
		return fmt.Sprintf("/api%05d http://%s/bearer auth bearer %s a b", i, e.upstream, token)
	})
}

// directive returns a directive with a block of n entries.
func directive(head string, n int, entry func(i int) string) string {
	var b strings.Builder
	b.WriteString(head + " {\n")
	for i := range n {
		b.WriteString(entry(i) + "\n")
	}
	return b.String() + "}\n"
}

// reloading is a Caddy that is given its configuration again and again.
type reloading struct {
	*process
	admin, addr, storage, block string
	json                        bool // whether it is given JSON

	took, used []float64 // ms
}

func startReloading(ctx context.Context, e *environment, block string) (*reloading, error) {
	p, addr, vars, err := startCaddy(ctx, e, "Caddy", block)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.dir, "reload-")
	if err != nil {
		p.stop()
		return nil, err
	}
	admin := strings.TrimSuffix(strings.TrimPrefix(vars, "http://"), "/debug/vars")
	return &reloading{process: p, admin: admin, addr: addr, storage: filepath.Join(dir, "storage"), block: block}, nil
}

// reload loads the configuration, which differs from the one before in a header field.
func (r *reloading) reload(ctx context.Context, round int) error {
	kind, text := "text/caddyfile", []byte(caddyfile(r.addr, r.admin, r.storage, r.block+"\nheader X-Round "+strconv.Itoa(round)))
	if r.json {
		answer, err := r.post(ctx, "/adapt", kind, text)
		if err != nil {
			return err
		}
		var adapted struct {
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(answer, &adapted); err != nil {
			return fmt.Errorf("decoding the configuration: %w", err)
		}
		kind, text = "application/json", adapted.Result
	}
	before, err := r.usage()
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := r.post(ctx, "/load", kind, text); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := r.usage()
	if err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.took, r.used = append(r.took, ms(took)), append(r.used, ms(after.sub(before).total()))
	return nil
}

// post sends a configuration to the admin endpoint, and returns the answer.
func (r *reloading) post(ctx context.Context, path, kind string, text []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.admin+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return answer, err
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
