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
	"time"
)

// pair runs Caddy's proxy and this module side by side.
func pair(ctx context.Context, e *environment) (names []string, at []*running, stop func(), err error) {
	stop = func() {
		for _, r := range at {
			r.stop()
		}
	}
	for _, kind := range []struct {
		name  string
		block func(*environment) string
	}{
		{headerUp, headerUpBlock("")},
		{"ours, bearer", configurations()[0].block(ownWay)},
	} {
		r, err := inCaddy("/bearer/items", kind.block)(ctx, e)
		if err != nil {
			stop()
			return nil, nil, nil, err
		}
		names, at = append(names, kind.name), append(at, r)
	}
	return names, at, stop, nil
}

// large sends 1 GiB to and from the API, and compares what the proxies use for it.
func large(ctx context.Context, e *environment) ([][]string, error) {
	names, at, stop, err := pair(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	const mib = 1024
	rows := [][]string{{"", "CPU s", "×", "MiB/s", "resident MiB"}}
	for _, way := range []string{"download", "upload"} {
		base := 0.0
		for i, r := range at {
			before, err := r.usage()
			if err != nil {
				return nil, err
			}
			begin := time.Now()
			if err := transfer(ctx, way, r.addr, mib); err != nil {
				return nil, err
			}
			took := time.Since(begin)
			after, err := r.usage()
			if err != nil {
				return nil, err
			}
			cost := after.sub(before).total().Seconds()
			if i == 0 {
				base = cost
			}
			resident, err := r.memory()
			if err != nil {
				return nil, err
			}
			rows = append(rows, []string{
				way + ": " + names[i], fmt.Sprintf("%.2f", cost), fmt.Sprintf("%.2f", cost/base),
				fmt.Sprintf("%.0f", mib/took.Seconds()), fmt.Sprintf("%.0f", float64(resident)/(1<<20)),
			})
		}
	}
	return rows, nil
}

// transfer moves that many MiB.
func transfer(ctx context.Context, way, addr string, mib int) error {
	size := int64(mib) << 20
	if way == "upload" {
		res, err := ask(ctx, http.MethodPost, "http://"+addr+"/bearer/items", io.LimitReader(zeros{}, size), size)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	res, err := ask(ctx, http.MethodGet, "http://"+addr+"/big/"+strconv.Itoa(mib), nil, 0)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes have come, not %d", n, size)
	}
	return err
}

// zeros is a body that has no end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// events measures how long an event of a stream takes from the API to the caller.
func events(ctx context.Context, e *environment) ([][]string, error) {
	names, at, stop, err := pair(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	rows := [][]string{{"", "p50 µs", "p99 µs", "events"}}
	for i, r := range at {
		res, err := ask(ctx, http.MethodGet, "http://"+r.addr+"/events", nil, 0)
		if err != nil {
			return nil, err
		}
		var all result
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			sent, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, err
			}
			all.latencies = append(all.latencies, time.Since(time.Unix(0, sent)))
		}
		res.Body.Close()
		all.sort()
		rows = append(rows, []string{
			names[i], strconv.FormatInt(all.at(0.5).Microseconds(), 10), strconv.FormatInt(all.at(0.99).Microseconds(), 10), strconv.Itoa(len(all.latencies)),
		})
	}
	return rows, nil
}
