// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sealingKey seals the connections of the benchmark.
const sealingKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// buildCaddy builds a Caddy with this module, or returns the one that the flags name.
func buildCaddy(ctx context.Context, s *settings, dir string) (string, error) {
	if s.caddy != "" {
		return filepath.Abs(s.caddy)
	}
	path := filepath.Join(dir, "caddy")
	fmt.Fprintln(os.Stderr, "building Caddy with this module")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/authenticated-api/caddy-authenticated-api/cmd/caddy").CombinedOutput() //nolint:gosec // G204: of this benchmark
	if err != nil {
		return "", fmt.Errorf("building Caddy: %w: %s", err, out)
	}
	return path, nil
}

// caddyfile returns a Caddyfile with one site.
func caddyfile(site, admin, storage, block string) string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	storage file_system %s
	log {
		level ERROR
	}
	authenticated_api {
		key %s
	}
}
http://%s, http://localhost%s {
	bind 127.0.0.1
%s
}
`, admin, storage, sealingKey, site, site[strings.LastIndexByte(site, ':'):], block)
}

// startCaddy runs Caddy with the block of a site, at an address that it returns with that of the
// runtime's figures.
func startCaddy(ctx context.Context, e *environment, name, block string) (p *process, addr, vars string, err error) {
	if addr, err = free(ctx); err != nil {
		return nil, "", "", err
	}
	p, vars, err = startCaddyAt(ctx, e, name, addr, block)
	return p, addr, vars, err
}

// startCaddyAt is startCaddy at a given address.
func startCaddyAt(ctx context.Context, e *environment, name, addr, block string) (p *process, vars string, err error) {
	admin, err := free(ctx)
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(e.dir, "caddy-")
	if err != nil {
		return nil, "", err
	}
	file, err := write(dir, "Caddyfile", caddyfile(addr, admin, filepath.Join(dir, "storage"), block))
	if err != nil {
		return nil, "", err
	}
	args := []string{e.caddy, "run", "--config", file, "--adapter", "caddyfile"}
	if e.variable != "" {
		args = append([]string{"env", e.variable}, args...)
	}
	p, err = start(ctx, name, addr, dir, args...)
	return p, "http://" + admin + "/debug/vars", err
}

// heap is what Go's runtime says of a process's allocations.
type heap struct{ mallocs, bytes, inUse float64 }

// readHeap asks a Go program, by the page that expvar serves.
func readHeap(ctx context.Context, page string) (heap, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return heap{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return heap{}, err
	}
	defer res.Body.Close()
	var vars struct {
		MemStats struct{ Mallocs, TotalAlloc, HeapAlloc float64 } `json:"memstats"`
	}
	err = json.NewDecoder(res.Body).Decode(&vars)
	return heap{vars.MemStats.Mallocs, vars.MemStats.TotalAlloc, vars.MemStats.HeapAlloc}, err
}

// allocations returns the mallocs and bytes of one request of a Go program: the difference of the
// runtime's figures before and after n requests, less that of asking twice.
func allocations(ctx context.Context, t *running, n int) (mallocs, bytes float64, err error) {
	var at [3]heap
	if err := count(ctx, t.addr, n/4, t.next); err != nil { // warm
		return 0, 0, err
	}
	if err := t.greet(ctx); err != nil {
		return 0, 0, err
	}
	for i := range at {
		if i == 2 {
			if err := count(ctx, t.addr, n, t.next); err != nil {
				return 0, 0, err
			}
		}
		if at[i], err = readHeap(ctx, t.vars); err != nil {
			return 0, 0, err
		}
	}
	asking := heap{mallocs: at[1].mallocs - at[0].mallocs, bytes: at[1].bytes - at[0].bytes}
	return (at[2].mallocs - at[1].mallocs - asking.mallocs) / float64(n), (at[2].bytes - at[1].bytes - asking.bytes) / float64(n), nil
}
