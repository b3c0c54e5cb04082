// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// step is one thing that a client did, and what came of it.
type step struct {
	name   string
	result string
	failed bool // although it was to work
}

func (s step) String() string { return s.name + ": " + s.result }

// transcript is what a client did on one way.
type transcript []step

// note adds a step that was to work.
func (tr *transcript) note(name string, result any, err error) {
	text := fmt.Sprint(result)
	if err != nil {
		text = strings.TrimSpace(text + "\nerror: " + err.Error())
	}
	*tr = append(*tr, step{name, text, err != nil})
}

// refusal adds a step that was to be refused.
func (tr *transcript) refusal(name string, err error) {
	*tr = append(*tr, step{name, fmt.Sprint(err), err == nil})
}

// relativeTo writes {base} for the client's base URL and {host} for its host. An {api} or {api
// host} is another one.
func (tr transcript) relativeTo(w way) transcript {
	names := strings.NewReplacer(w.url, "{base}", w.host(), "{host}", w.api, "{api}", hostOf(w.api), "{api host}")
	relative := make(transcript, len(tr))
	for i, s := range tr {
		relative[i] = step{s.name, names.Replace(s.result), s.failed}
	}
	return relative
}

// wantLike fails the test where a step differs from the direct one and docs/clients.md does not
// say so.
func (tr transcript) wantLike(t *testing.T, client string, direct transcript) {
	t.Helper()
	rows := documented(t)
	for i, want := range direct {
		if i >= len(tr) {
			t.Errorf("through the gateway the client did not come to %q and %d steps more", want.name, len(direct)-i-1)
			break
		}
		got := tr[i]
		if got == want {
			continue
		}
		row, ok := rows[client+"\x00"+want.name]
		if ok && got.name == want.name && inCell(want.result) == row.direct && inCell(got.result) == row.gateway {
			continue
		}
		t.Errorf("%s\n  directly: %s\n  through the gateway: %s", want.name, want.result, got)
	}
	for _, more := range tr[min(len(tr), len(direct)):] {
		t.Errorf("only through the gateway: %s", more)
	}
}

// inCell is a result as a cell of a table has it.
func inCell(result string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(result, "|", "\\|")), " ")
}

// row is a difference that docs/clients.md tells of.
type row struct {
	direct, gateway string
}

// pageOfClients reads docs/clients.md once.
var pageOfClients = sync.OnceValues(func() ([]byte, error) { return os.ReadFile("../../docs/clients.md") })

// documented returns the rows of the table of clients, by client and step.
func documented(t *testing.T) map[string]row {
	t.Helper()
	page, err := pageOfClients()
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]row)
	for _, cells := range table(string(page), "client") {
		if len(cells) != 5 {
			t.Fatalf("docs/clients.md: the row %q has not five cells", cells)
		}
		rows[cells[0]+"\x00"+cells[1]] = row{strings.Trim(cells[2], "`"), strings.Trim(cells[3], "`")}
	}
	return rows
}

// table returns the rows of the tables whose first column has that heading.
func table(page, heading string) [][]string {
	var rows [][]string
	inside := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		switch {
		case cells[0] == heading:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

// parseTranscript reads the steps that a script has written, one JSON object a line.
func parseTranscript(t *testing.T, out []byte) transcript {
	t.Helper()
	var tr transcript
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s struct {
			Step   string          `json:"step"`
			Result json.RawMessage `json:"result"`
			Failed bool            `json:"failed"`
		}
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Errorf("the script has written %q", lines.Text())
			continue
		}
		tr = append(tr, step{s.Step, string(s.Result), s.Failed})
	}
	return tr
}
