// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/mcp"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// What the option mcp adds to a route. A request that can be served is not touched, and its body
// is not read. A request that cannot be served is answered in the client's own protocol: a client
// of MCP takes a 401 for the order to begin an OAuth of its own, and would look for its metadata
// at the gateway.

const (
	// consentWait is how long a request waits for an account whose owner has gone to the link.
	// SDKs send the request again as soon as the link is open, ten times at most, and give up an
	// answer after a minute.
	consentWait = 45 * time.Second

	// consentPoll is how often it looks. An account may be connected on another node.
	consentPoll = time.Second

	// maxConsents is how many requests of a datasource wait so at once. Each keeps its body.
	maxConsents = 64
)

// speaksMCP reports whether a request may hold a JSON-RPC request.
func speaksMCP(r *http.Request) bool {
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody || len(r.Header["Content-Encoding"]) > 0 {
		return false
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// readMCP returns the JSON-RPC requests in a body, or an error.
func readMCP(h http.Header, body io.Reader) (*mcp.Messages, []byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, mcp.MaxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > mcp.MaxBody {
		return nil, nil, errors.New("the body is too long")
	}
	messages, err := mcp.Read(text, h.Get("Mcp-Protocol-Version"))
	return messages, text, err
}

// answerMCP answers a request that is not served as JSON-RPC, if it is JSON-RPC and the problem is
// none of the request itself. It returns false otherwise.
func (h *Handler) answerMCP(w http.ResponseWriter, r *http.Request, p *problem.Problem) (answered bool, err error) {
	if !ofGateway(p) || !speaksMCP(r) {
		return false, nil
	}
	messages, _, err := readMCP(r.Header, r.Body)
	if err != nil {
		return false, nil //nolint:nilerr // it is answered as any other request
	}
	body := mcpAnswer(h.ds, w.Header(), r, messages, p)
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body) //nolint:gosec // G705: JSON, of a type that no browser takes for a page
	return true, err
}

// ofGateway reports whether a problem is one of the gateway, or of the account. Others are
// answered with their status: the client has to mend its request.
func ofGateway(p *problem.Problem) bool {
	return p.Status() >= http.StatusInternalServerError || p.Status() == http.StatusUnauthorized
}

// mcpAnswer composes the answer to JSON-RPC requests that are not served, and sets its header
// fields.
func mcpAnswer(ds *datasource, h http.Header, r *http.Request, messages *mcp.Messages, p *problem.Problem) []byte {
	p = p.WithoutChallenge()
	refusal := mcp.Refusal{
		Text: p.LinkedText(), Message: p.Text(), URL: p.ConnectURL(), Key: mcpKey(ds), ID: rand.Text(), Data: p.Data(ds.name),
	}
	body, media := refusal.Answer(messages), "application/json"
	if onlyEvents(r.Header["Accept"]) {
		body, media = append(append([]byte("event: message\ndata: "), body...), "\n\n"...), "text/event-stream"
	}
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return body
}

// mcpKey names the input that clients are asked for.
func mcpKey(ds *datasource) string { return "authenticated_api." + ds.name }

// onlyEvents reports whether a client takes server-sent events and no JSON. A client must take
// both.
func onlyEvents(accept []string) bool {
	list := strings.ToLower(strings.Join(accept, ","))
	return strings.Contains(list, "text/event-stream") && !strings.Contains(list, "application/json") && !strings.Contains(list, "*/*") &&
		!strings.Contains(list, "application/*")
}

// awaitConsent waits for the account of a request whose user has gone to the link that an earlier
// answer had, and returns the request's exchange. If it has not waited, or in vain, it returns
// what it was given.
func (h *Handler) awaitConsent(r *http.Request, p *problem.Problem, err error) (*exchange, *problem.Problem, error) {
	if _, ok := errors.AsType[*record.AuthorizationError](err); !ok || !speaksMCP(r) {
		return nil, p, err
	}
	messages, text, unread := readMCP(r.Header, r.Body)
	if text == nil {
		r.Body = http.NoBody // a part of it is gone, and what is left must pass for no request
		return nil, p, err
	}
	r.Body = &rereadBody{bytes.NewReader(text), r.Body}
	if unread != nil || !messages.Accepted(mcpKey(h.ds)) {
		return nil, p, err
	}
	defer h.ds.consents.Add(-1)
	if h.ds.consents.Add(1) > maxConsents {
		return nil, p, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), consentWait)
	defer cancel()
	tick := time.NewTicker(consentPoll)
	defer tick.Stop()
	for !caddy.Exiting() {
		select {
		case <-ctx.Done():
			return nil, p, err
		case <-tick.C:
		}
		var x *exchange
		if x, p, err = h.ds.newExchange(r); err == nil {
			return x, nil, nil
		}
	}
	return nil, p, err
}

// rereadBody is a body that was read, from its first byte.
type rereadBody struct {
	io.Reader
	io.Closer
}

// oauthMetadata are the documents below /.well-known/ in which clients look for OAuth (RFC 9728
// §3, RFC 8414 §3, OpenID Connect Discovery §4).
var oauthMetadata = []string{"oauth-protected-resource", "oauth-authorization-server", "openid-configuration"}

// mcpFields mirror what is in the body (2026-07-28, Streamable HTTP, Request Metadata).
var mcpFields = []string{"Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version"}

// checkMCP refuses what a client of MCP must not be given, or send.
func checkMCP(r *http.Request) *problem.Problem {
	if asksForOAuth(r.URL.Path) {
		return problem.NoMetadata
	}
	for _, name := range mcpFields {
		// A matcher of Caddy's looks at each value, and a server compares one of them with the body.
		if len(r.Header[name]) > 1 {
			return problem.FieldTwice
		}
	}
	return nil
}

// asksForOAuth reports whether a client looks for the OAuth of the API at the route. What it would
// find there is the API's own authorization server, which knows nothing of the gateway's callers.
func asksForOAuth(path string) bool {
	_, below, found := strings.Cut(path, "/.well-known/")
	if !found {
		return false
	}
	document, _, _ := strings.Cut(below, "/")
	return slices.Contains(oauthMetadata, document)
}
