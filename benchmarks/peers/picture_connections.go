// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// drawn are the targets of the picture with curves, and their colours, which are readable on light
// and dark pages.
var drawn = []struct{ name, colour string }{
	{headerUp, "#6b7280"},
	{"Caddy, header_up, 512 idle connections", "#9ca3af"},
	{"ours, bearer", "#2563eb"},
	{"ours, OAuth, a signature for each request", "#7c3aed"},
	{"net/http/httputil alone", "#d97706"},
	{"nginx, proxy_set_header", "#059669"},
}

// curves draws what a request costs at each number of connections.
func curves(connections []int, all []*figures) string {
	const (
		width, height             = 820, 380
		left, right, top, bottom  = 60, 320, 44, 40
		inner, deep, step, radius = width - left - right, height - top - bottom, 17, 3
	)
	most := 0.0
	costs := map[string][]float64{}
	for _, f := range all {
		if f.running == nil || !slices.ContainsFunc(drawn, func(d struct{ name, colour string }) bool { return d.name == f.name }) {
			continue
		}
		for _, n := range connections {
			cost := median(f.at[n].user) + median(f.at[n].system)
			costs[f.name] = append(costs[f.name], cost)
			most = max(most, cost)
		}
	}
	x := func(i int) float64 { return left + float64(inner*i)/float64(max(len(connections)-1, 1)) }
	y := func(cost float64) float64 { return top + deep*(1-cost/max(most, 1e-9)) }
	var out strings.Builder
	const title = "Processor time of a request in µs, by keep-alive connections"
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, title)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/><text x="12" y="26" font-size="15" font-weight="600" fill="#1f2937">%s</text>`+"\n", width, height, title)
	for i, n := range connections {
		fmt.Fprintf(&out, `<path d="M%.1f %dv%d" stroke="#e5e7eb"/><text x="%.1f" y="%d" text-anchor="middle" fill="#1f2937">%d</text>`+"\n", x(i), top, deep, x(i), height-bottom+20, n)
	}
	for _, cost := range []float64{0, most / 2, most} {
		fmt.Fprintf(&out, `<path d="M%d %.1fh%d" stroke="#e5e7eb"/><text x="%d" y="%.1f" text-anchor="end" fill="#1f2937">%.0f</text>`+"\n", left, y(cost), inner, left-8, y(cost)+4, cost)
	}
	for i, d := range drawn {
		all := costs[d.name]
		if all == nil {
			continue
		}
		points := make([]string, len(all))
		for j, cost := range all {
			points[j] = fmt.Sprintf("%.1f,%.1f", x(j), y(cost))
			fmt.Fprintf(&out, `<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"/>`, x(j), y(cost), radius, d.colour)
		}
		fmt.Fprintf(&out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(points, " "), d.colour)
		at := top + 10 + step*i
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="12" height="4" fill="%s"/><text x="%d" y="%d" fill="#1f2937">%s</text>`+"\n", width-right+24, at-6, d.colour, width-right+42, at, html.EscapeString(d.name))
	}
	out.WriteString("</svg>\n")
	return out.String()
}
