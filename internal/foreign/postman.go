// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	postmanRemedy = "export the collection in Postman as Collection v2.1"

	// maxFolders is how deep folders may lie in each other.
	maxFolders = 100
)

// postmanCollection is a collection as Postman exports it.
type postmanCollection struct {
	Info struct {
		Name text `json:"name"`
	} `json:"info"`
	Item     []postmanItem  `json:"item"`
	Auth     *postmanAuth   `json:"auth"`
	Variable []postmanValue `json:"variable"`
	Event    []postmanEvent `json:"event"`
}

// postmanItem is a folder, or a request.
type postmanItem struct {
	Item    []postmanItem   `json:"item"`
	Auth    *postmanAuth    `json:"auth"`
	Request *postmanRequest `json:"request"`
	Event   []postmanEvent  `json:"event"`
}

type postmanEvent struct {
	Listen text `json:"listen"`
}

type postmanRequest struct {
	URL    postmanURL     `json:"url"`
	Auth   *postmanAuth   `json:"auth"`
	Header postmanHeaders `json:"header"`
}

// UnmarshalJSON implements json.Unmarshaler. A request may be its URL alone.
func (r *postmanRequest) UnmarshalJSON(raw []byte) error {
	type plain postmanRequest
	if raw[0] == '"' {
		return json.Unmarshal(raw, &r.URL.Raw)
	}
	return json.Unmarshal(raw, (*plain)(r))
}

// postmanHeaders are header fields. A text of them, as old collections have it, is left out.
type postmanHeaders []postmanValue

// UnmarshalJSON implements json.Unmarshaler.
func (h *postmanHeaders) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		return nil
	}
	return json.Unmarshal(raw, (*[]postmanValue)(h))
}

// postmanValue is a name and its value, which is nothing if it is an object or a list.
type postmanValue struct {
	Key      text  `json:"key"`
	ID       text  `json:"id"` // of a variable, in place of the key
	Value    loose `json:"value"`
	Disabled bool  `json:"disabled"`
}

// postman reads a collection.
type postman struct {
	draft     *draft
	name      string
	variables map[string]string
	groups    []*postmanGroup
}

// postmanGroup are requests to one base URL with one authentication.
type postmanGroup struct {
	base, unknown string // unknown says why there is no base URL
	auth          *postmanAuth
	requests      int
	fields        map[string]int // how many requests have a field or a parameter of that value
	params        map[string]int
}

// readPostman reads a collection of Postman.
func readPostman(d *draft, input []byte) error {
	if err := checkPostmanVersion(input); err != nil {
		return err
	}
	var c postmanCollection
	if err := decode(input, &c, postmanRemedy); err != nil {
		return err
	}
	p := &postman{draft: d, name: string(c.Info.Name), variables: make(map[string]string)}
	for _, v := range c.Variable {
		p.variables[string(cmp.Or(v.Key, v.ID))] = string(v.Value)
	}
	scripts := hasScript(c.Event)
	if err := p.walk("item", c.Item, c.Auth, &scripts, 0); err != nil {
		return err
	}
	if len(p.groups) == 0 {
		return errors.New("item: there is no request in it; " + postmanRemedy + ", with its requests")
	}
	if scripts {
		d.note("scripts that run before requests; what they compute has to be written as options")
	}
	for _, g := range p.groups {
		p.write(g)
	}
	return nil
}

// checkPostmanVersion refuses other versions before the rest is read: their authentications are of
// another form, and an error that tells of a wrong form would hide what is wrong.
func checkPostmanVersion(input []byte) error {
	var c struct {
		Info *struct {
			Schema text `json:"schema"`
		} `json:"info"`
	}
	if err := decode(input, &c, postmanRemedy); err != nil {
		return err
	}
	switch {
	case c.Info == nil:
		return errors.New("info is missing; " + postmanRemedy)
	case c.Info.Schema != "" && !strings.Contains(string(c.Info.Schema), "/v2."):
		return errors.New("info.schema: it is not of version 2.1, nor of 2.0; " + postmanRemedy)
	}
	return nil
}

func hasScript(events []postmanEvent) bool {
	for _, e := range events {
		if e.Listen == "prerequest" {
			return true
		}
	}
	return false
}

// walk puts the requests of a folder into groups. auth is the authentication that they inherit.
func (p *postman) walk(place string, items []postmanItem, auth *postmanAuth, scripts *bool, depth int) error {
	if depth > maxFolders {
		return fmt.Errorf("item: folders lie in each other more than %d deep; %s", maxFolders, postmanRemedy)
	}
	for i, item := range items {
		at := place + "[" + strconv.Itoa(i) + "]"
		*scripts = *scripts || hasScript(item.Event)
		inherited := auth
		if item.Auth != nil {
			inherited = item.Auth
		}
		if item.Request == nil {
			if err := p.walk(at+".item", item.Item, inherited, scripts, depth+1); err != nil {
				return err
			}
			continue
		}
		if item.Request.Auth != nil {
			inherited = item.Request.Auth
		}
		p.request(item.Request, inherited)
		if len(p.groups) > maxAPIs {
			return fmt.Errorf("%s: the collection has more than %d APIs; export fewer at a time", at, maxAPIs)
		}
	}
	return nil
}

// leading matches a variable at the beginning of a URL.
var leading = regexp.MustCompile(`^\s*\{\{\s*([^{}]+?)\s*\}\}`)

// anyVariable matches a variable.
var anyVariable = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// resolve replaces the variables that the collection has. Their values may have variables.
func (p *postman) resolve(raw string) string {
	for range 5 {
		next := anyVariable.ReplaceAllStringFunc(raw, func(match string) string {
			if val, ok := p.variables[anyVariable.FindStringSubmatch(match)[1]]; ok && val != "" {
				return val
			}
			return match
		})
		if next == raw || len(next) > 1<<16 {
			break
		}
		raw = next
	}
	return raw
}

// base returns the base URL of a request: what its first variable stands for if that is a URL,
// and otherwise scheme, host and port. unknown says why there is none.
func (p *postman) base(raw string) (base, unknown string) {
	if m := leading.FindStringSubmatch(raw); m != nil {
		val := p.resolve(m[0])
		switch {
		case dynamic(val):
			return "", "the collection has no value for the variable " + shown(m[1:])
		case strings.Contains(val, "://") && !strings.HasSuffix(val, "://"):
			if _, after, _ := strings.Cut(val, "://"); strings.Contains(after, "/") || strings.HasPrefix(raw[len(m[0]):], "/") || raw == m[0] {
				return val, ""
			}
		}
	}
	resolved := strings.TrimSpace(p.resolve(raw))
	scheme, rest, ok := strings.Cut(resolved, "://")
	if !ok {
		scheme, rest = "http", resolved // as Postman does
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if dynamic(scheme + rest) {
		return "", "the collection has no value for a variable in it"
	}
	return scheme + "://" + rest, ""
}

// request puts a request into its group.
func (p *postman) request(r *postmanRequest, auth *postmanAuth) {
	base, unknown := p.base(r.URL.origin())
	var group *postmanGroup
	for _, g := range p.groups {
		if g.base == base && g.unknown == unknown && g.auth.equal(auth) {
			group = g
		}
	}
	if group == nil {
		group = &postmanGroup{base: base, unknown: unknown, auth: auth, fields: make(map[string]int), params: make(map[string]int)}
		p.groups = append(p.groups, group)
	}
	group.requests++
	count(group.fields, r.Header)
	query := r.URL.Query
	if _, raw, ok := strings.Cut(string(r.URL.Raw), "?"); ok && len(query) == 0 {
		raw, _, _ = strings.Cut(raw, "#")
		for part := range strings.SplitSeq(raw, "&") {
			key, val, _ := strings.Cut(part, "=")
			query = append(query, postmanValue{Key: text(key), Value: loose(val)})
		}
	}
	count(group.params, query)
}

// count counts values, each once.
func count(into map[string]int, values []postmanValue) {
	seen := make(map[string]bool)
	for _, v := range values {
		if one := string(v.Key) + "\x00" + string(v.Value); !v.Disabled && v.Key != "" && !seen[one] {
			seen[one] = true
			into[one]++
		}
	}
}

// write adds the API of a group.
func (p *postman) write(g *postmanGroup) {
	name := p.name
	if u, err := url.Parse(g.base); err == nil && len(p.groups) > 1 && u.Hostname() != "" && !opaque.MatchString(u.Hostname()) {
		name = u.Hostname()
	}
	a := p.draft.add(name, called("collection", p.name))
	kind := "no authentication"
	if !g.auth.none() {
		kind = "the authentication " + shown([]string{g.auth.kind})
	}
	a.comment = "Its requests to one base URL with " + kind + ": " + strconv.Itoa(g.requests) + "."
	g.auth.read(a, p)
	if g.unknown != "" {
		a.unknownURL(g.unknown)
	} else {
		a.baseURL(g.base)
	}
	p.shared(a, g.fields, g.requests, "header fields", a.header)
	p.shared(a, g.params, g.requests, "query parameters", a.query)
}

// secretName matches names of fields and parameters that carry credentials.
var secretName = regexp.MustCompile(`(?i)authorization|token|secret|api[-_.]?key|^key$|passw|signature|^x-.*-key$`)

// shared sets what all requests have, if there are several, and what carries a credential in all.
// The rest is for the caller to send.
func (p *postman) shared(a *api, counts map[string]int, requests int, kind string, set func(name, val string)) {
	var left []string
	for _, one := range sortedKeys(counts) {
		name, val, _ := strings.Cut(one, "\x00")
		credential := secretName.MatchString(name)
		switch {
		case strings.EqualFold(name, "Content-Type") || strings.EqualFold(name, "Content-Length"):
		case counts[one] == requests && (requests > 1 || credential):
			set(name, p.resolve(val))
		case credential:
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		a.note(kind + " that look like credentials and that not all requests have: " + shown(left))
	}
}
