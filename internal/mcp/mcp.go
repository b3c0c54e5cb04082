// SPDX-License-Identifier: Apache-2.0

// Package mcp answers requests of the Model Context Protocol that a gateway cannot serve, so that
// the client shows its user a link in place of beginning an OAuth of its own. It reads what a
// client has sent (Read), and composes the answers in the form that the client's revision of the
// protocol has for this (Refusal.Answer). It knows nothing of HTTP but the names of two fields'
// values, and nothing of accounts.
//
// The revisions:
//
//   - 2025-03-26: requests may come in a batch. There is no elicitation.
//   - 2025-06-18: no batches; elicitation by a form only.
//   - 2025-11-25: elicitation of the mode url. A request that needs one is answered with the
//     error -32042. Clients declare what they can do in initialize, once for a session.
//   - 2026-07-28: no sessions. Each request says in _meta what its client can do. A request that
//     needs an elicitation is answered with a result of the type input_required.
package mcp

const (
	revisionURL   = "2025-11-25" // from here on there is elicitation of the mode url
	revisionMeta  = "2026-07-28" // from here on each request says what its client can do
	revisionBatch = "2025-03-26" // the only one with batches; a request that names none has it
)

const (
	methodInitialize   = "initialize"
	methodCallTool     = "tools/call"
	methodGetPrompt    = "prompts/get"
	methodReadResource = "resources/read"
)

// isRevision reports whether a text is the name of a revision: a date. Dates compare as texts.
func isRevision(text string) bool {
	if len(text) != len(revisionURL) {
		return false
	}
	for i := range len(text) {
		digit := text[i] >= '0' && text[i] <= '9'
		if digit == (i == 4 || i == 7) || !digit && text[i] != '-' {
			return false
		}
	}
	return true
}
