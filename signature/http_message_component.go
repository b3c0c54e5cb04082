// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// component is what a signature covers of a message (RFC 9421 §2): a header field, or what is
// derived from the request line.
type component struct {
	item httpsfv.Item // its identifier
	text string       // the same, serialized
	name string
	of   string // the parameter key of a field, or name of @query-param
	bs   bool   // the field's lines as byte sequences
	sf   bool   // the field's value as a structured field, serialized anew
}

// derived are the components that are not fields.
var derived = [...]string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param"}

const componentRemedy = `write names of header fields, or @method, @target-uri, @authority, @scheme, @request-target, @path, @query, @query-param;name="…"`

// parseComponent reads a component: a name, and parameters as in Signature-Input.
func parseComponent(text string) (component, error) {
	const option = "signature: components"
	name, rest, _ := strings.Cut(text, ";")
	if rest != "" {
		rest = ";" + rest
	}
	name = strings.ToLower(strings.Trim(name, `"`))
	item, err := httpsfv.UnmarshalItem([]string{`"` + name + `"` + rest})
	if err != nil || name == "" || item.Value != name {
		return component{}, fmt.Errorf("%s: %s is no component; %s", option, value.Shape(text), componentRemedy)
	}
	c := component{item: item, name: name}
	for _, param := range item.Params.Names() {
		val, _ := item.Params.Get(param)
		of, isText := val.(string)
		switch {
		case name == "@query-param" && param == "name" && isText, name[0] != '@' && param == "key" && isText:
			c.of = of
		case name[0] != '@' && param == "bs" && val == true:
			c.bs = true
		case name[0] != '@' && param == "sf" && val == true:
			c.sf = true
		default:
			return component{}, fmt.Errorf(`%s: %s: the parameter %s is not possible here; a field may have ;key="…", ;sf or ;bs, @query-param has ;name="…"`,
				option, value.Mention(name, derived[:]...), value.Shape(param))
		}
	}
	if c.text, err = httpsfv.Marshal(item); err != nil {
		return component{}, fmt.Errorf("%s: %w", option, err)
	}
	return c, c.check()
}

// check reports why a component cannot be covered.
func (c *component) check() error {
	const option = "signature: components"
	canonical := http.CanonicalHeaderKey(c.name)
	switch {
	case slices.Contains(derived[:], c.name):
		if c.name == "@query-param" && c.of == "" {
			return fmt.Errorf(`%s: @query-param has no name; write @query-param;name="page"`, option)
		}
		return nil
	case !httpguts.ValidHeaderFieldName(c.name):
		return fmt.Errorf("%s: %s is no component of a request; %s", option, value.Quote(c.name, derived[:]...), componentRemedy)
	case canonical == "Signature" || canonical == "Signature-Input":
		return fmt.Errorf("%s: %s carries the signature itself", option, canonical)
	case canonical != "Host" && wire.IsConnectionField(canonical) && canonical != "Content-Length":
		return fmt.Errorf("%s: %s belongs to the connection, and the API may see another one", option, c.name)
	case c.bs && (c.of != "" || c.sf):
		return fmt.Errorf("%s: %s: bs goes with neither key nor sf (RFC 9421 §2.1); remove one", option, c.name)
	case c.sf && c.of == "" && structureOf(c.name) == "":
		return fmt.Errorf(`%s: %s: ;sf needs a field whose type is registered (RFC 9421 §2.1.1); write the name alone, or ;key="…" for one member of a dictionary`,
			option, value.Mention(c.name))
	default:
		return nil
	}
}

// valueIn returns the component's value in a request, and false if the request has none.
func (c *component) valueIn(out *Outgoing) (string, bool) {
	switch c.name {
	case "@method":
		return out.Method, true
	case "@target-uri":
		return scheme(out) + "://" + authority(out) + requestTarget(out), true
	case "@authority":
		return authority(out), true
	case "@scheme":
		return scheme(out), true
	case "@request-target":
		return requestTarget(out), true
	case "@path":
		path, _, _ := strings.Cut(requestTarget(out), "?")
		return path, true
	case "@query":
		return "?" + out.URL.RawQuery, true
	case "@query-param":
		return c.queryParam(out.URL.RawQuery)
	default:
		return c.field(fieldLines(out, c.name))
	}
}

// requestTarget returns what stands in the request line.
func requestTarget(out *Outgoing) string { return out.URL.RequestURI() }

// authority returns the API's host, without the port that belongs to the scheme (RFC 9421 §2.2.3).
func authority(out *Outgoing) string {
	host := out.Host
	if host == "" {
		host = out.URL.Host
	}
	port := ":80"
	if out.Encrypted {
		port = ":443"
	}
	return strings.ToLower(strings.TrimSuffix(host, port))
}

// queryParam returns the value of a parameter. One that is there twice cannot be covered (RFC 9421
// §2.2.8).
func (c *component) queryParam(query string) (val string, found bool) {
	for pair := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(pair, "=")
		if pair == "" || encodeParam(unescape(name)) != c.of {
			continue
		}
		if found {
			return "", false
		}
		val, found = encodeParam(unescape(text)), true
	}
	return val, found
}

// encodeParam escapes a name or a value as the URL standard's application/x-www-form-urlencoded
// does, but a blank, which is %20.
func encodeParam(text string) string {
	return strings.NewReplacer("+", "%20", "~", "%7E", "%2A", "*").Replace(url.QueryEscape(text))
}
