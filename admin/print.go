// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// printStatuses prints a table of connections.
func printStatuses(w io.Writer, statuses []*connection.Status, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DATASOURCE\tCONNECTION\tGRANT\tSTATE\tEXPIRES\tREFRESHED\tSTORED\tSINCE\tNEXT ATTEMPT\tLAST ERROR")
	for _, s := range statuses {
		cells := []string{
			s.Datasource, s.Connection, s.Grant, s.State, relative(s.ExpiresAt, now), relative(s.RefreshedAt, now),
			yesOrNo(s.Stored), relative(s.LastErrorSince, now), relative(s.NextAttemptAt, now), lastError(s, now),
		}
		for i, cell := range cells {
			cells[i] = cmp.Or(printable(cell), "-")
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return printDiscovered(w, statuses)
}

// printDiscovered prints what was found out of the providers, once for all connections of a
// datasource that have it in common.
func printDiscovered(w io.Writer, statuses []*connection.Status) error {
	var last []connection.Fact
	of := ""
	for _, s := range statuses {
		facts := s.Discovered.Facts()
		if len(facts) == 0 || s.Datasource == of && slices.Equal(facts, last) {
			continue
		}
		name := s.Datasource
		if s.Connection != "" {
			name += ", connection " + s.Connection
		}
		of, last = s.Datasource, facts
		if _, err := fmt.Fprintf(w, "\nDiscovered for %s:\n", printable(name)); err != nil {
			return err
		}
		lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, fact := range facts {
			fmt.Fprintf(lines, "  %s\t%s\n", fact.Name, printable(fact.Text))
		}
		if err := lines.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// lastError returns what has failed last, with the provider's words for it.
func lastError(s *connection.Status, now time.Time) string {
	if r := s.LastRefusal; r != nil && s.LastError == "" {
		return fmt.Sprintf("the API refused with %d %s", r.Status, relative(&r.At, now))
	}
	text := s.LastError
	if s.LastDescription != "" {
		text += ": " + s.LastDescription
	}
	if s.LastError == connection.DiscoveryFailed && s.Remedy != "" {
		text += "; " + s.Remedy
	}
	return text
}

func yesOrNo(is *bool) string {
	switch {
	case is == nil:
		return ""
	case *is:
		return "yes"
	default:
		return "no"
	}
}

// relative says how far away a time is, in two units at most. (The package go-humanize, which the
// console uses, knows one unit only: "1 hour from now".)
func relative(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	d := t.Sub(now).Round(time.Second)
	switch {
	case d == 0:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	default:
		return "in " + span(d)
	}
}

// span writes a duration in two units at most.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	units := []struct {
		size time.Duration
		name string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, unit := range units {
		if d < unit.size || i == len(units)-1 {
			continue
		}
		text := strconv.Itoa(int(d/unit.size)) + unit.name
		if rest := d % unit.size / units[i+1].size; rest > 0 {
			text += strconv.Itoa(int(rest)) + units[i+1].name
		}
		return text
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// printable returns a text that is safe to print as it is, and any other text quoted like a
// string in Go. Users can choose their names, and a terminal obeys control characters. Some
// characters turn the direction of the text around.
func printable(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' { // \uFFFD may stand for a byte that is no UTF-8
			return strconv.Quote(text)
		}
	}
	return text
}

// printJSON prints JSON as it came, but escapes the characters that a terminal could obey. All of
// those stand within strings, where JSON allows escapes.
func printJSON(w io.Writer, text []byte) error {
	var out bytes.Buffer
	for _, r := range string(bytes.TrimSpace(text)) {
		switch {
		case strconv.IsPrint(r) || r == '\n' || r == '\t':
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}
