// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"regexp"
)

// tuned is the base of what an operator can set: this module with a static token, and all else as
// it is.
const tuned = "a static token, nothing set"

// tuning measures what an operator can set around this module: the garbage collector's pace, and
// access logs. All of it takes its turns in one run, with 32 connections.
func tuning(ctx context.Context, e *environment) ([][]string, error) {
	const connections = 32
	own := *e.settings
	own.connections, own.targets = []int{connections}, regexp.MustCompile(".")
	again := *e
	again.settings = &own
	bearer := configurations()[0]
	site := func(directives, variable string) func(context.Context, *environment) (*running, error) {
		return func(ctx context.Context, e *environment) (*running, error) {
			with := *e
			with.variable = variable
			return inCaddy(bearer.path, func(e *environment) string { return directives + bearer.block(ownWay)(e) })(ctx, &with)
		}
	}
	const accessLog = "log {\noutput file access.log\n}\n"
	all, err := startTargets(ctx, &again, []target{
		{tuned, tuned, site("", "")},
		{"GOGC=200", tuned, site("", "GOGC=200")},
		{"GOGC=400", tuned, site("", "GOGC=400")},
		{"an access log in a file", tuned, site(accessLog, "")},
		{"the same, with log_skip", tuned, site(accessLog+"log_skip\n", "")},
	})
	defer func() {
		for _, f := range all {
			if f.running != nil {
				f.stop()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := measure(ctx, &own, all); err != nil {
		return nil, err
	}
	rows := [][]string{{"", "CPU ×", "(quartiles)", "mallocs", "p99 µs", "resident MiB"}}
	for _, f := range all {
		low, middle, high := quartiles(f.at[connections].ratio)
		resident, err := f.memory()
		if err != nil {
			return nil, err
		}
		rows = append(rows, []string{
			f.name, fmt.Sprintf("%.2f", middle), fmt.Sprintf("%.2f–%.2f", low, high), fmt.Sprintf("%.1f", f.mallocs),
			fmt.Sprintf("%.0f", median(f.at[connections].slow)), fmt.Sprintf("%.0f", float64(resident)/(1<<20)),
		})
	}
	return rows, nil
}
