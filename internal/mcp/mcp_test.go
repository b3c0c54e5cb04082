// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

const link = "https://gateway.example/connect/?a=b&c"

func refusal() *Refusal {
	return &Refusal{
		Text: "Not connected. Open " + link, Message: "Not connected.", URL: link, Key: "gw.notes", ID: "E1", Data: json.RawMessage(`{"type":"x"}`),
	}
}

// What each kind of answer is, for the id 1.
const (
	asError      = `{"jsonrpc":"2.0","id":1,"error":{"code":-31000,"message":"Not connected. Open ` + link + `","data":{"type":"x"}}}`
	asTool       = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Not connected. Open ` + link + `"}],"isError":true}}`
	asModernTool = `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"Not connected. Open ` + link + `"}],"isError":true}}`
	asElicited   = `{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"Not connected. Open ` + link + `","data":{"elicitations":[` +
		`{"mode":"url","elicitationId":"E1","url":"` + link + `","message":"Not connected."}]}}}`
	asRequired = `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"gw.notes":` +
		`{"method":"elicitation/create","params":{"mode":"url","url":"` + link + `","message":"Not connected."}}}}}`
)

// modern returns a request of 2026-07-28 whose client has these capabilities.
func modern(method, capabilities, more string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":` + capabilities + `}` + more + `}}`
}

func initialize(revision, capabilities string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + revision + `","capabilities":` + capabilities + `}}`
}

func legacy(method string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"name":"a"}}`
}

const elicitsURL = `{"elicitation":{"form":{},"url":{}}}`

// TestAnswer: each request is answered in the form that its revision has and its client has
// declared, and in no other.
func TestAnswer(t *testing.T) {
	for name, test := range map[string]struct{ header, body, want string }{
		// Sessions: what the client can do was said before.
		"2025-03-26 call":        {"", legacy("tools/call"), asTool},
		"2025-06-18 call":        {"2025-06-18", legacy("tools/call"), asTool},
		"2025-11-25 call":        {"2025-11-25", legacy("tools/call"), asTool},
		"2025-11-25 list":        {"2025-11-25", legacy("tools/list"), asError},
		"2025-11-25 prompt":      {"2025-11-25", legacy("prompts/get"), asError},
		"2025-11-25 initialize":  {"", initialize("2025-11-25", `{}`), asError},
		"2025-11-25 form":        {"", initialize("2025-11-25", `{"elicitation":{}}`), asError},
		"2025-11-25 form only":   {"", initialize("2025-11-25", `{"elicitation":{"form":{}}}`), asError},
		"2025-11-25 null":        {"", initialize("2025-11-25", `{"elicitation":{"url":null}}`), asError},
		"2025-11-25 url":         {"", initialize("2025-11-25", elicitsURL), asElicited},
		"2025-06-18 url":         {"", initialize("2025-06-18", elicitsURL), asError},
		"2024-11-05 url":         {"", initialize("2024-11-05", elicitsURL), asError},
		"no revision":            {"", initialize("latest", elicitsURL), asError},
		"2025-11-25 call, _meta": {"2025-11-25", strings.ReplaceAll(modern("tools/call", elicitsURL, ""), "2026-07-28", "2025-11-25"), asElicited},

		// No sessions: each request says what its client can do.
		"2026-07-28 call":              {"2026-07-28", modern("tools/call", elicitsURL, ""), asRequired},
		"2026-07-28 read":              {"2026-07-28", modern("resources/read", elicitsURL, ""), asRequired},
		"2026-07-28 prompt":            {"2026-07-28", modern("prompts/get", elicitsURL, ""), asRequired},
		"2026-07-28 list":              {"2026-07-28", modern("tools/list", elicitsURL, ""), asError},
		"2026-07-28 discover":          {"2026-07-28", modern("server/discover", elicitsURL, ""), asError},
		"2026-07-28 no capability":     {"2026-07-28", modern("tools/call", `{}`, ""), asModernTool},
		"2026-07-28 form":              {"2026-07-28", modern("tools/call", `{"elicitation":{}}`, ""), asModernTool},
		"2026-07-28 read, form":        {"2026-07-28", modern("resources/read", `{"elicitation":{}}`, ""), asError},
		"2026-07-28 without _meta":     {"2026-07-28", legacy("tools/call"), asModernTool},
		"2026-07-28 without header":    {"", modern("tools/call", elicitsURL, ""), asRequired},
		"header of another revision":   {"2025-11-25", modern("tools/call", elicitsURL, ""), asModernTool},
		"a later revision":             {"2027-01-31", strings.ReplaceAll(modern("tools/call", elicitsURL, ""), "2026-07-28", "2027-01-31"), asRequired},
		"a draft":                      {"DRAFT-2027", strings.ReplaceAll(modern("tools/call", elicitsURL, ""), "2026-07-28", "DRAFT-2027"), asRequired},
		"declined":                     {"2026-07-28", modern("tools/call", elicitsURL, `,"inputResponses":{"gw.notes":{"action":"decline"}}`), asModernTool},
		"cancelled":                    {"2026-07-28", modern("resources/read", elicitsURL, `,"inputResponses":{"gw.notes":{"action":"cancel"}}`), asError},
		"accepted, and not connected":  {"2026-07-28", modern("tools/call", elicitsURL, `,"inputResponses":{"gw.notes":{"action":"accept"}}`), asRequired},
		"declined something else":      {"2026-07-28", modern("tools/call", elicitsURL, `,"inputResponses":{"login":{"action":"decline"}}`), asRequired},
		"the state of the server":      {"2026-07-28", modern("tools/call", elicitsURL, `,"requestState":"s<\u0041>"`), asRequired[:len(asRequired)-2] + `,"requestState":"s<\u0041>"}}`},
		"a state that is none":         {"2026-07-28", modern("tools/call", elicitsURL, `,"requestState":7`), asRequired},
		"positional parameters":        {"", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}`, asTool},
		"capabilities that are a list": {"2026-07-28", modern("tools/call", `["elicitation"]`, ""), asModernTool},
		"what is no member":            {"2026-07-28", modern("tools/call", `{"Elicitation":{"url":{}}}`, ""), asModernTool},
	} {
		m, err := Read([]byte(test.body), test.header)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := string(refusal().Answer(m)); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

// TestAnswerWithoutLink: where there is nowhere to go, nobody is sent there.
func TestAnswerWithoutLink(t *testing.T) {
	r := &Refusal{Text: "There is no credential.", Message: "There is no credential."}
	for _, body := range []string{modern("tools/call", elicitsURL, ""), initialize("2025-11-25", elicitsURL)} {
		m, err := Read([]byte(body), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Answer(m)); !strings.Contains(got, "There is no credential.") || strings.Contains(got, "elicit") {
			t.Errorf("%s: %s", body, got)
		}
	}
}

// TestID: an id comes back as it was written.
func TestID(t *testing.T) {
	for _, id := range []string{
		`0`, `-1`, `1.0`, `1e2`, `123456789012345678901234567890`, `"a"`, `""`, `"1"`, `null`, `"<&>"`, `"\u0041\/é\ud800"`, "\"\u2028\"",
	} {
		m, err := Read([]byte(`{ "id" : `+id+` , "method":"ping","jsonrpc":"2.0"}`), "2025-06-18")
		if err != nil {
			t.Errorf("%s: %v", id, err)
		} else if got, want := string(refusal().Answer(m)), `{"jsonrpc":"2.0","id":`+id+`,"error":`; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// TestBatch: each request of a batch has its answer, and what wants none has none.
func TestBatch(t *testing.T) {
	const body = ` [{"jsonrpc":"2.0","id":"a","method":"tools/call"},{"jsonrpc":"2.0","method":"notifications/initialized"},` +
		`{"jsonrpc":"2.0","id":2,"method":"tools/list"},{"jsonrpc":"2.0","id":3,"result":{}}] `
	for header, batches := range map[string]bool{"": true, "2025-03-26": true, "2025-06-18": false, "2026-07-28": false} {
		m, err := Read([]byte(body), header)
		if (err == nil) != batches {
			t.Errorf("%q: %v", header, err)
		}
		if err != nil {
			continue
		}
		want := "[" + strings.Replace(asTool, `"id":1`, `"id":"a"`, 1) + "," + strings.Replace(asError, `"id":1`, `"id":2`, 1) + "]"
		if got := string(refusal().Answer(m)); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", header, got, want)
		}
	}
}

// TestReadRefuses: a body that is no request, or that two readers could read in two ways, is not
// read.
func TestReadRefuses(t *testing.T) {
	for _, body := range []string{
		"", "null", "1", `"a"`, "{", "{}", "[]", "[1]", `[[{"jsonrpc":"2.0","id":1,"method":"a"}]]`, "\xff",
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"a"}}`,
		`{"id":1,"method":"a"}`, `{"jsonrpc":"1.0","id":1,"method":"a"}`, `{"jsonrpc":2.0,"id":1,"method":"a"}`,
		`{"jsonrpc":"2.0","id":1,"method":7}`,
		`{"jsonrpc":"2.0","id":{},"method":"a"}`, `{"jsonrpc":"2.0","id":[1],"method":"a"}`, `{"jsonrpc":"2.0","id":true,"method":"a"}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}`, `{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"elicitation":{"url":{}}}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a"} {}`, `{"jsonrpc":"2.0","id":1,"method":"a"}]`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":` + strings.Repeat("[", 20_000),
		`[{"jsonrpc":"2.0","method":"a"}]`,
	} {
		if m, err := Read([]byte(body), ""); err == nil {
			t.Errorf("%.100s is %+v", body, m.list)
		}
	}
}

// TestAccepted: only the answer to what this gateway has asked for counts.
func TestAccepted(t *testing.T) {
	for responses, want := range map[string]bool{
		`{"gw.notes":{"action":"accept"}}`: true, `{"gw.notes":{"action":"decline"}}`: false, `{"gw.notes":{"action":7}}`: false,
		`{"other":{"action":"accept"}}`: false, `{"gw.notes":"accept"}`: false, `{}`: false, `null`: false,
	} {
		m, err := Read([]byte(modern("tools/call", elicitsURL, `,"inputResponses":`+responses)), "2026-07-28")
		if err != nil || m.Accepted("gw.notes") != want {
			t.Errorf("%s: %v", responses, err)
		}
	}
}

func TestIsRevision(t *testing.T) {
	for text, want := range map[string]bool{
		"2025-11-25": true, "2026-07-28": true, "": false, "2025-11-2": false, "2025/11/25": false, "20251-1-25": false, "2025-11-2x": false, "2025-11-255": false,
	} {
		if isRevision(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// FuzzRead: whatever a client sends, the answer is JSON-RPC with the ids that came, and asks for
// nothing that was not declared.
func FuzzRead(f *testing.F) {
	for _, body := range []string{
		legacy("tools/call"), modern("tools/call", elicitsURL, `,"requestState":"a"`), initialize("2025-11-25", elicitsURL),
		`[` + legacy("tools/list") + `,{"jsonrpc":"2.0","method":"a"}]`, `{"jsonrpc":"2.0","id":null,"method":"a"}`, `{"id":1,"id":2}`, `[[[`, "\xff",
	} {
		for _, header := range []string{"", "2025-11-25", "2026-07-28"} {
			f.Add([]byte(body), header)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		m, err := Read(body, header)
		if err != nil {
			return
		}
		answer := refusal().Answer(m)
		var got []struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Result  json.RawMessage `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		text := string(answer)
		if !m.batch {
			text = "[" + text + "]"
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != len(m.list) || len(got) == 0 {
			t.Fatalf("%v: %s", err, answer)
		}
		for i, g := range got {
			if g.JSONRPC != "2.0" || string(g.ID) != string(m.list[i].id) || (g.Result == nil) == (g.Error == nil) {
				t.Errorf("answer %d of %s", i, answer)
			}
		}
		if strings.Contains(text, "elicit") && !strings.Contains(string(body), "elicitation") && !strings.Contains(string(body), `\u`) &&
			!strings.Contains(string(body), strconv.Quote("requestState")) {
			t.Errorf("%s asks for what was not declared", answer)
		}
	})
}
