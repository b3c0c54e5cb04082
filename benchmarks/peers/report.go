// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// section is a table.
type section struct {
	title string
	rows  [][]string // the first one has the names of the columns
}

// report prints all tables, and writes them to the file and the pictures to the folder that the
// settings name.
func report(s *settings, all []*figures, further []section) error {
	sections := []section{machine(s)}
	for _, n := range s.connections {
		sections = append(sections, costs(n, all))
	}
	sections = append(append(sections, memory(all)), further...)
	for _, sec := range sections {
		fmt.Printf("\n%s\n\n", sec.title)
		sec.text(os.Stdout)
	}
	if s.markdown != "" {
		var b strings.Builder
		for _, sec := range sections {
			fmt.Fprintf(&b, "### %s\n\n", sec.title)
			sec.table(&b)
			b.WriteString("\n")
		}
		if err := os.WriteFile(s.markdown, []byte(b.String()), 0o644); err != nil { //nolint:gosec // G306: no secret
			return err
		}
	}
	if s.pictures == "" {
		return nil
	}
	return draw(s, all)
}

// machine says where and how the figures were measured.
func machine(s *settings) section {
	model := "unknown"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return section{"The run", [][]string{
		{"", ""},
		{"processor", fmt.Sprintf("%s, %d threads", model, runtime.NumCPU())},
		{"Go", runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"rounds", fmt.Sprintf("%d of %s for each target", s.rounds, s.duration)},
	}}
}

// costs is the table of all targets at one number of connections.
func costs(n int, all []*figures) section {
	rows := [][]string{{"target", "CPU ×", "(quartiles)", "CPU µs", "user", "system", "mallocs", "bytes", "req/s", "p50 µs", "p99 µs"}}
	for _, f := range all {
		a := f.at[n]
		if a == nil {
			rows = append(rows, []string{f.name, fmt.Sprint(f.lacking), "", "", "", "", "", "", "", "", ""})
			continue
		}
		low, middle, high := quartiles(a.ratio)
		user, system := median(a.user), median(a.system)
		row := []string{
			f.name, fmt.Sprintf("%.2f", middle), fmt.Sprintf("%.2f–%.2f", low, high),
			fmt.Sprintf("%.1f", user+system), fmt.Sprintf("%.1f", user), fmt.Sprintf("%.1f", system),
			"–", "–",
			fmt.Sprintf("%.0f", median(a.perSecond)), fmt.Sprintf("%.0f", median(a.median)), fmt.Sprintf("%.0f", median(a.slow)),
		}
		if f.mallocs > 0 {
			row[6], row[7] = fmt.Sprintf("%.1f", f.mallocs), fmt.Sprintf("%.0f", f.bytes)
		}
		rows = append(rows, row)
	}
	return section{fmt.Sprintf("%s, GET, keep-alive", plural(n, "connection")), rows}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// memory is what the processes occupy after all rounds.
func memory(all []*figures) section {
	rows := [][]string{{"target", "resident MiB"}}
	for _, f := range all {
		if f.running != nil {
			rows = append(rows, []string{f.name, fmt.Sprintf("%.0f", float64(f.resident)/(1<<20))})
		}
	}
	return section{"Memory after all rounds", rows}
}

// text prints a table in columns.
func (s section) text(w io.Writer) {
	widths := make([]int, len(s.rows[0]))
	for _, row := range s.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range s.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if cells[i] = pad + cell; i == 0 {
				cells[i] = cell + pad
			}
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "  "), " "))
	}
}

// table prints a table as Markdown.
func (s section) table(w io.Writer) {
	for i, row := range s.rows {
		fmt.Fprintln(w, "| "+strings.Join(row, " | ")+" |")
		if i == 0 {
			fmt.Fprintln(w, "| ---"+strings.Repeat(" | ---:", len(row)-1)+" |")
		}
	}
}
