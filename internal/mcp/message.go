// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxBody is the largest body that Read is worth calling with. What a client sends is as large as
// the arguments of a tool; what is needed of it is small, but may come last.
const MaxBody = 1 << 20

// Messages is what a client has sent in one body: one message, or a batch of them.
type Messages struct {
	list  []message // without those that want no answer
	batch bool
}

// message is a JSON-RPC request.
type message struct {
	id       json.RawMessage // as it came, byte for byte
	method   string
	revision string // "" if the request names one that is none
	meta     bool   // the request says in _meta what its client can do
	url      bool   // the client has declared elicitation of the mode url

	// state is requestState as it came, of a request that is sent again because somebody behind
	// this gateway has asked for input; nil: none.
	state json.RawMessage

	// actions are what has become of the inputs that were asked for, by their keys.
	actions map[string]string
}

var errNoRequest = errors.New("there is no JSON-RPC request that waits for an answer")

// Read reads a body. header is the header field MCP-Protocol-Version, "" if there is none. A body
// that is no JSON-RPC, that could be read in two ways, or in which nothing waits for an answer is
// an error: notifications, and responses to what a server has asked.
func Read(body []byte, header string) (*Messages, error) {
	if !utf8.Valid(body) { // the decoder would replace bytes, also those of an id
		return nil, errors.New("the body is not UTF-8")
	}
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		return readBatch(body, header)
	}
	m, err := readMessage(body, header)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errNoRequest
	}
	return &Messages{list: []message{*m}}, nil
}

// readBatch reads an array of messages (JSON-RPC 2.0 §6). Revisions from 2025-06-18 on have none.
func readBatch(body []byte, header string) (*Messages, error) {
	if header != "" && header != revisionBatch {
		return nil, fmt.Errorf("the revision %.20q has no batches", header)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("the body is no JSON: %w", err)
	}
	all := &Messages{batch: true}
	for _, text := range raw {
		m, err := readMessage(text, header)
		if err != nil {
			return nil, err
		}
		if m != nil {
			all.list = append(all.list, *m)
		}
	}
	if len(all.list) == 0 {
		return nil, errNoRequest
	}
	return all, nil
}

// readMessage reads one message. It returns nil for a message that wants no answer.
func readMessage(text []byte, header string) (*message, error) {
	fields, err := members(text)
	if err != nil {
		return nil, err
	}
	if version := fields["jsonrpc"]; string(version) != `"2.0"` {
		return nil, errors.New("the body is no JSON-RPC 2.0")
	}
	id, asks := fields["id"]
	if _, ok := fields["method"]; !ok || !asks {
		return nil, nil //nolint:nilnil // a response, or a notification
	}
	m := &message{id: id, revision: header}
	if m.revision == "" {
		m.revision = revisionBatch
	}
	if m.method, err = stringOf(fields["method"]); err != nil {
		return nil, fmt.Errorf("method: %w", err)
	}
	if first := id[0]; first != '"' && first != '-' && (first < '0' || first > '9') && string(id) != "null" {
		return nil, errors.New("id: it is neither a string nor a number")
	}
	if params := fields["params"]; isObject(params) {
		return m, m.readParams(params, header)
	}
	return m, nil
}

// readParams reads what a request says of its client.
func (m *message) readParams(text []byte, header string) error {
	params, err := members(text)
	if err != nil {
		return fmt.Errorf("params: %w", err)
	}
	version, capabilities := json.RawMessage(nil), json.RawMessage(nil)
	if isObject(params["_meta"]) {
		meta, err := members(params["_meta"])
		if err != nil {
			return fmt.Errorf("_meta: %w", err)
		}
		version, capabilities = meta["io.modelcontextprotocol/protocolVersion"], meta["io.modelcontextprotocol/clientCapabilities"]
	}
	m.meta = capabilities != nil
	if m.method == methodInitialize && !m.meta {
		version, capabilities = params["protocolVersion"], params["capabilities"]
	}
	if m.url, err = declaresURL(capabilities); err != nil {
		return err
	}
	if version != nil {
		if m.revision, err = stringOf(version); err != nil {
			return fmt.Errorf("protocolVersion: %w", err)
		}
		if m.meta && header != "" && header != m.revision {
			m.url = false // a server would refuse it; nobody knows what the client can do
		}
	}
	if state := params["requestState"]; len(state) > 0 && state[0] == '"' {
		m.state = state
	}
	return m.readResponses(params["inputResponses"])
}

// readResponses reads what has become of the inputs that were asked for.
func (m *message) readResponses(text []byte) error {
	if !isObject(text) {
		return nil
	}
	responses, err := members(text)
	if err != nil {
		return fmt.Errorf("inputResponses: %w", err)
	}
	m.actions = make(map[string]string, len(responses))
	for key, response := range responses {
		if !isObject(response) {
			continue
		}
		fields, err := members(response)
		if err != nil {
			return fmt.Errorf("inputResponses: %w", err)
		}
		m.actions[key], _ = stringOf(fields["action"])
	}
	return nil
}

// declaresURL reports whether capabilities have elicitation of the mode url. An elicitation
// without modes is by a form (2025-11-25, Elicitation, Capabilities).
func declaresURL(capabilities []byte) (bool, error) {
	if !isObject(capabilities) {
		return false, nil
	}
	fields, err := members(capabilities)
	if err != nil {
		return false, fmt.Errorf("capabilities: %w", err)
	}
	if !isObject(fields["elicitation"]) {
		return false, nil
	}
	if fields, err = members(fields["elicitation"]); err != nil {
		return false, fmt.Errorf("capabilities: %w", err)
	}
	return isObject(fields["url"]), nil
}

func isObject(text []byte) bool { return len(text) > 0 && text[0] == '{' }

func stringOf(text []byte) (string, error) {
	var s string
	if len(text) == 0 || text[0] != '"' {
		return "", errors.New("it is no string")
	}
	err := json.Unmarshal(text, &s)
	return s, err
}

// members returns the members of an object by their exact names, each value as it stands. An
// object that has a name twice is an error: the server behind might take the other one. The
// decoder allows 10,000 levels, and takes no more of the stack for them.
func members(text []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	fields := make(map[string]json.RawMessage)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		key := name.(string) // Token returns no other kind here
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("it has the member %.40q twice", key)
		}
		fields[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return fields, nil
}
