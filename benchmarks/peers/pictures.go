// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bar is one line of a picture.
type bar struct {
	name             string
	low, value, high float64
	ours             bool
}

// draw writes the pictures: the processor time and the latency of each target, and what some
// targets cost at each number of connections.
func draw(s *settings, all []*figures) error {
	if err := os.MkdirAll(s.pictures, 0o755); err != nil { //nolint:gosec // G301: pictures
		return err
	}
	n := s.connections[len(s.connections)/2]
	kinds := []struct {
		file, title, format string
		of                  func(a *series) []float64
	}{
		{"cpu.svg", fmt.Sprintf("Processor time of a request, × Caddy with header_up (%s)", plural(n, "connection")), "%.2f", func(a *series) []float64 { return a.ratio }},
		{"latency.svg", fmt.Sprintf("Latency of a request, p99 in µs (%s)", plural(n, "connection")), "%.0f", func(a *series) []float64 { return a.slow }},
	}
	for _, kind := range kinds {
		var bars []bar
		for _, f := range all {
			if a := f.at[n]; a != nil && f.base == headerUp {
				low, middle, high := quartiles(kind.of(a))
				bars = append(bars, bar{f.name, low, middle, high, strings.HasPrefix(f.name, "ours")})
			}
		}
		slices.SortStableFunc(bars, func(a, b bar) int { return int((a.value - b.value) * 1000) })
		if err := os.WriteFile(filepath.Join(s.pictures, kind.file), []byte(svg(kind.title, kind.format, bars)), 0o644); err != nil { //nolint:gosec // G306: a picture
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.pictures, "connections.svg"), []byte(curves(s.connections, all)), 0o644) //nolint:gosec // G306: a picture
}

// svg draws bars with their quartiles. The colours are readable on light and dark pages.
func svg(title, format string, bars []bar) string {
	const (
		left, right, line, top = 390, 90, 24, 44
		width                  = 910
	)
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value, b.high)
	}
	scale := float64(width-left-right) / max(most, 1e-9)
	height := top + line*len(bars) + 12
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, html.EscapeString(title))
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&out, `<text x="12" y="26" font-size="15" font-weight="600" fill="#1f2937">%s</text>`+"\n", html.EscapeString(title))
	for i, b := range bars {
		y := top + line*i
		fill := "#9ca3af"
		if b.ours {
			fill = "#2563eb"
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end" fill="#1f2937">%s</text>`, left-10, y+15, html.EscapeString(b.name))
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="16" rx="2" fill="%s"/>`, left, y+2, b.value*scale, fill)
		fmt.Fprintf(&out, `<path d="M%.1f %dh%.1f" stroke="#111827" stroke-width="1.5"/>`, left+b.low*scale, y+10, (b.high-b.low)*scale)
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" fill="#1f2937">%s</text>`+"\n", left+max(b.value, b.high)*scale+8, y+15, fmt.Sprintf(format, b.value))
	}
	out.WriteString("</svg>\n")
	return out.String()
}
