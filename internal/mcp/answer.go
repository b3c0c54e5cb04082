// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"bytes"
	"encoding/json"
)

const (
	// codeRefused is the error of a request that the gateway cannot serve. It is outside of the
	// range that JSON-RPC reserves, as 2026-07-28 asks of new codes.
	codeRefused = -31000

	// codeElicitation is URLElicitationRequiredError. It belongs to 2025-11-25 alone.
	codeElicitation = -32042
)

// Refusal is why a request is not served.
type Refusal struct {
	// Text says it to people and to models, with the link.
	Text string

	// Message says it in front of a link that the client shows itself.
	Message string

	// URL is where a person can do something about it, "" for nowhere.
	URL string

	// Key names the input that is asked for. A client sends it back with what became of it. It
	// must be none that the server behind uses.
	Key string

	// ID is a new name for an elicitation.
	ID string

	// Data is for programs: a JSON object.
	Data json.RawMessage
}

// Answer returns the answer to all requests in m.
func (r *Refusal) Answer(m *Messages) []byte {
	if !m.batch {
		return r.answer(nil, &m.list[0])
	}
	out := []byte{'['}
	for i := range m.list {
		if i > 0 {
			out = append(out, ',')
		}
		out = r.answer(out, &m.list[i])
	}
	return append(out, ']')
}

func (r *Refusal) answer(out []byte, m *message) []byte {
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	out = append(append(out, m.id...), ',')
	switch {
	case r.URL != "" && m.mayElicit() && m.modern() && !m.declined(r.Key):
		out = append(append(out, `"result":`...), r.inputRequired(m)...)
	case r.URL != "" && m.mayElicit() && !m.modern():
		out = append(append(out, `"error":`...), r.elicitationRequired()...)
	case m.method == methodCallTool:
		out = append(append(out, `"result":`...), r.toolResult(m)...)
	default:
		out = append(append(out, `"error":`...), encode(rpcError{codeRefused, r.Text, r.Data})...)
	}
	return append(out, '}')
}

// modern reports whether a request is of a revision without sessions. A name that is no date may
// be that of a draft.
func (m *message) modern() bool {
	if isRevision(m.revision) {
		return m.revision >= revisionMeta
	}
	return m.meta
}

// mayElicit reports whether the answer may ask for an elicitation of the mode url. Only what the
// request itself declares counts. Before 2026-07-28 clients declare it in initialize, which has
// passed unread; asking a client that cannot is forbidden, and a link as text serves all.
func (m *message) mayElicit() bool {
	switch {
	case !m.url:
		return false
	case m.modern():
		// Other requests must not be answered so (2026-07-28, MRTR, Supported Requests).
		return m.method == methodCallTool || m.method == methodGetPrompt || m.method == methodReadResource
	default:
		return isRevision(m.revision) && m.revision >= revisionURL
	}
}

// declined reports whether the user does not want to go where they were asked to. Asking again
// would have no end: SDKs send the request again by themselves.
func (m *message) declined(key string) bool {
	action, answered := m.actions[key]
	return answered && action != "accept"
}

// Accepted reports whether a client says that its user has gone to the link of an answer with that
// key. It says nothing of what the user has done there.
func (m *Messages) Accepted(key string) bool {
	return len(m.list) == 1 && m.list[0].actions[key] == "accept"
}

// inputRequired returns an InputRequiredResult. It has a requestState only if the request had one,
// and then that: the client sends it to the server behind when the gateway can serve it, and a
// server refuses a state that it has not made.
func (r *Refusal) inputRequired(m *message) []byte {
	type elicit struct {
		Mode    string `json:"mode"`
		URL     string `json:"url"`
		Message string `json:"message"`
	}
	type request struct {
		Method string `json:"method"`
		Params elicit `json:"params"`
	}
	return encode(struct {
		Type     string             `json:"resultType"`
		Requests map[string]request `json:"inputRequests"`
		State    json.RawMessage    `json:"requestState,omitempty"`
	}{
		"input_required",
		map[string]request{r.Key: {"elicitation/create", elicit{"url", r.URL, r.Message}}},
		m.state,
	})
}

// elicitationRequired returns a URLElicitationRequiredError. Its message has the link too, for
// programs that show nothing else of an error.
func (r *Refusal) elicitationRequired() []byte {
	type elicitation struct {
		Mode    string `json:"mode"`
		ID      string `json:"elicitationId"`
		URL     string `json:"url"`
		Message string `json:"message"`
	}
	data := encode(struct {
		Elicitations []elicitation `json:"elicitations"`
	}{[]elicitation{{"url", r.ID, r.URL, r.Message}}})
	return encode(rpcError{codeElicitation, r.Text, data})
}

// toolResult returns the result of a tool that has failed, which models and people see.
func (r *Refusal) toolResult(m *message) []byte {
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	result := struct {
		Type    string    `json:"resultType,omitempty"`
		Content []content `json:"content"`
		IsError bool      `json:"isError"`
	}{Content: []content{{"text", r.Text}}, IsError: true}
	if m.modern() {
		result.Type = "complete"
	}
	return encode(result)
}

type rpcError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// encode returns a value as JSON on one line. It keeps the & in links, and what came as JSON.
func encode(val any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(val); err != nil {
		panic(err) // texts, and JSON that was decoded before
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
