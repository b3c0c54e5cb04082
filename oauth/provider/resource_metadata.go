// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// ResourceMetadata is what an API says of itself (RFC 9728).
type ResourceMetadata struct {
	Address  string
	Resource string
	Servers  []string // the issuers of its authorization servers; there is one at least
	Scopes   []string
	DPoP     bool // tokens must be bound to a key (RFC 9449)

	Term time.Duration
}

// Asked is what an API has answered to a request without a credential.
type Asked struct {
	Status      int
	MetadataURL string // "" if it has named none
	Scopes      []string
	DPoP        bool // it takes tokens with a proof, and none without

	retry time.Time // when the API says that it will answer; zero: it does not
	other string    // the same address with a slash at the end, or without, if the API leads there
}

// Unsettled returns an error if the answer does not tell what the API wants of its callers: an
// API that is overloaded, or a page in its place, has not said that it is an older one, without
// metadata. It is nil otherwise.
func (a *Asked) Unsettled(api *url.URL) *DiscoveryError {
	fail := &DiscoveryError{
		Address: Bare(api.String()), Option: "write discover <issuer>",
		Reason: "the status 401 was expected, or metadata by RFC 9728, and the status is " + strconv.Itoa(a.Status),
	}
	switch s := a.Status; {
	case s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s == http.StatusTooEarly:
		fail.temporary, fail.Retry = true, a.retry
	case s == http.StatusFound || s == http.StatusSeeOther || s == http.StatusTemporaryRedirect: // as pages of maintenance do
		fail.temporary, fail.Reason = true, fail.Reason+"; redirects are not followed"
	case s >= 300 && s < 400:
		fail.Reason += "; redirects are not followed"
		fail.Option = "write the base URL that it points to, or discover <issuer>"
	default:
		return nil
	}
	return fail
}

// probe is a request of the Model Context Protocol that changes nothing. Its servers answer POST
// only, so a GET does not say what they want.
const probe = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`

// Ask sends a request without a credential to an API, and returns what its challenges say. An API
// that does not know the method GET there, or leads browsers elsewhere, is asked once more, by a
// request that changes nothing. A redirect is followed in one case: to the same address with a
// slash at the end, or without. Its errors are *DiscoveryError.
func (d *Discovery) Ask(ctx context.Context, api string) (*Asked, error) {
	asked, err := d.ask(ctx, http.MethodGet, api)
	if err == nil && asked.other != "" {
		api = asked.other
		asked, err = d.ask(ctx, http.MethodGet, api)
	}
	if err != nil || asked.MetadataURL != "" || asked.Status == http.StatusUnauthorized {
		return asked, err
	}
	switch asked.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, // of browsers
		http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return d.ask(ctx, http.MethodPost, api)
	}
	return asked, nil
}

func (d *Discovery) ask(ctx context.Context, method, api string) (*Asked, error) {
	ctx, cancel := withTimeout(ctx, d.Timeout)
	defer cancel()
	fail := &DiscoveryError{Address: Bare(api), Option: "write discover <issuer>"}
	req, err := http.NewRequestWithContext(ctx, method, api, nil)
	if err != nil {
		fail.Reason = "it is no URL"
		return nil, fail
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Accept-Encoding", "identity")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Mcp-Method", "tools/list")
		setBody(req, []byte(probe))
	}
	t := d.Client.sendForHeader(req)
	if t.err != nil {
		fail.Reason, fail.Err, fail.temporary = "the API does not answer", networkError(t.err), true
		return nil, fail
	}
	a := asked(t.res)
	a.retry, a.other = retryAfter(t.res, t.at), slashed(t.res, req.URL)
	return a, nil
}

// slashed returns an address with a slash at its end, or without the one that it has, if an answer
// leads there, as Starlette's do (FastMCP); "" otherwise. The path alone is compared, and the rest
// stays as it is: servers behind a proxy name the scheme and the host that they have there.
func slashed(res *http.Response, at *url.URL) string {
	u := *at
	u.Path, u.RawPath = u.Path+"/", ""
	if short, ok := strings.CutSuffix(at.Path, "/"); ok {
		u.Path = short
	}
	to, err := res.Location()
	if err != nil || res.StatusCode < 300 || res.StatusCode > 399 || to.Path != u.Path || at.RawPath != "" {
		return ""
	}
	return u.String()
}

// sendForHeader sends a request of whose answer the header matters alone. The body may be a stream
// without an end.
func (c *Client) sendForHeader(req *http.Request) roundTrip {
	return c.sendBy(req, func(*http.Response) ([]byte, error) {
		return nil, nil
	})
}

// asked reads the challenges of an answer. There may be several: the one counts that names the
// metadata, or else the first that asks for a token.
func asked(res *http.Response) *Asked {
	a := &Asked{Status: res.StatusCode}
	if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
		return a
	}
	var best map[string]string
	bearer, dpop := false, false
	for _, c := range wire.ParseChallenges(res.Header.Values("Www-Authenticate")) {
		if c.Scheme != "bearer" && c.Scheme != "dpop" {
			continue
		}
		bearer, dpop = bearer || c.Scheme == "bearer", dpop || c.Scheme == "dpop"
		if best == nil || best["resource_metadata"] == "" && c.Params["resource_metadata"] != "" {
			best = c.Params
		}
	}
	a.MetadataURL, a.Scopes, a.DPoP = best["resource_metadata"], strings.Fields(best["scope"]), dpop && !bearer
	return a
}

// ResourceMetadata fetches the metadata of an API. address is what the API has named; "" for the
// addresses of RFC 9728 §3.1, the longer path first. It returns nil without an error if the API
// has none there. Its errors are *DiscoveryError.
func (d *Discovery) ResourceMetadata(ctx context.Context, api *url.URL, address string) (*ResourceMetadata, error) {
	addresses := []string{address}
	if address == "" {
		addresses = resourceWellKnown(api)
	}
	doc, err := d.firstOf(ctx, addresses, func(doc *document) error { return checkResource(doc, api) })
	if err != nil {
		fail, ok := errors.AsType[*DiscoveryError](err)
		if ok && fail.Absent() && address == "" {
			return nil, nil //nolint:nilnil // an API without metadata is an older one
		}
		if ok && fail.Option == "" {
			fail.Option = "write discover <issuer>"
		}
		return nil, err
	}
	m := &ResourceMetadata{
		Address: doc.address, Resource: doc.text("resource"), DPoP: doc.flag("dpop_bound_access_tokens_required"), Term: doc.term(),
	}
	m.Servers, _ = doc.texts("authorization_servers")
	m.Scopes, _ = doc.texts("scopes_supported")
	return m, nil
}

// resourceWellKnown are the addresses of an API's metadata.
func resourceWellKnown(api *url.URL) []string {
	const name = "/.well-known/oauth-protected-resource"
	origin := api.Scheme + "://" + api.Host
	addresses := []string{origin + name}
	if path := strings.TrimSuffix(api.EscapedPath(), "/"); path != "" {
		addresses = []string{origin + name + path, origin + name}
	}
	return addresses
}

// checkResource checks that a document is about the API, which any API could name for itself. The
// resource must have the origin of the base URL, and be a prefix of its path (RFC 9728 §3.3).
func checkResource(doc *document, api *url.URL) error {
	resource := doc.text("resource")
	servers, _ := doc.texts("authorization_servers")
	switch {
	case resource == "":
		return &DiscoveryError{
			Address: doc.address, Reason: "metadata of an API was expected, and the document has no resource", absent: len(servers) == 0,
		}
	case !covers(resource, api):
		return &DiscoveryError{
			Address: doc.address, Reason: fmt.Sprintf("a resource was expected that covers %q, and the document says %q", Bare(api.String()), shortened(resource)),
			Option: "if the base URL is right, write discover <issuer>, and resource <uri> if the provider wants one",
		}
	case len(servers) == 0 || servers[0] == "":
		return &DiscoveryError{Address: doc.address, Reason: "the document names no authorization server"}
	}
	return nil
}

// covers reports whether a resource is an API or what the API lies below.
func covers(resource string, api *url.URL) bool {
	u, err := url.Parse(resource)
	if err != nil || u.User != nil || !strings.EqualFold(u.Scheme, api.Scheme) || !strings.EqualFold(u.Hostname(), api.Hostname()) ||
		portOf(u) != portOf(api) {
		return false
	}
	above, path := strings.TrimSuffix(u.EscapedPath(), "/")+"/", strings.TrimSuffix(api.EscapedPath(), "/")+"/"
	return strings.HasPrefix(path, above)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}
