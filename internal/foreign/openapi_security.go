// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"encoding/json"
	"slices"
	"strings"
)

// openapiScheme is a way to authenticate.
type openapiScheme struct {
	Ref    text                   `json:"$ref"`
	Type   text                   `json:"type"`
	Name   text                   `json:"name"`
	In     text                   `json:"in"`
	Scheme text                   `json:"scheme"`
	Flows  map[string]openapiFlow `json:"flows"`
}

type openapiFlow struct {
	AuthorizationURL text            `json:"authorizationUrl"`
	TokenURL         text            `json:"tokenUrl"`
	Scopes           map[string]text `json:"scopes"`
}

// UnmarshalJSON implements json.Unmarshaler. Extensions (x-…) may be anything.
func (f *openapiFlow) UnmarshalJSON(raw []byte) error {
	type plain openapiFlow
	if raw[0] != '{' {
		return nil
	}
	return json.Unmarshal(raw, (*plain)(f))
}

// methods are the keys of a path that are operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

// requirements returns what requests need, the most frequent alternative first.
func (description *openapiDescription) requirements(a *api) []openapiRequirement {
	counts := make(map[string]int)
	known := make(map[string]openapiRequirement)
	var own int
	for _, path := range description.Paths {
		for method, raw := range path {
			var operation struct {
				Security *[]openapiRequirement `json:"security"`
			}
			if !slices.Contains(methods, method) || json.Unmarshal(raw, &operation) != nil || operation.Security == nil {
				continue
			}
			own++
			for _, r := range *operation.Security {
				key := strings.Join(sortedKeys(r), "\x00")
				counts[key]++
				if old, ok := known[key]; ok {
					r = old.with(r)
				}
				known[key] = r
			}
		}
	}
	if description.Security != nil {
		if own > 0 {
			a.note("what single operations need in place of what the description asks of all")
		}
		return *description.Security
	}
	keys := sortedKeys(counts)
	slices.SortStableFunc(keys, func(x, y string) int { return counts[y] - counts[x] })
	var all []openapiRequirement
	for _, key := range keys {
		all = append(all, known[key])
	}
	return all
}

// with returns a requirement with the scopes of another of the same schemes.
func (r openapiRequirement) with(other openapiRequirement) openapiRequirement {
	sum := make(openapiRequirement, len(r))
	for name, scopes := range r {
		scopes = append(slices.Clone(scopes), other[name]...)
		slices.Sort(scopes)
		sum[name] = slices.Compact(scopes)
	}
	return sum
}

// secure writes the authentication: that of the first alternative that the gateway has.
func (description *openapiDescription) secure(a *api, base string) {
	alternatives := slices.DeleteFunc(slices.Clone(description.requirements(a)), func(r openapiRequirement) bool { return len(r) == 0 })
	if len(alternatives) == 0 {
		if description.Components != nil && len(description.Components.Schemes) > 0 {
			a.note("security schemes that no request needs: " + shown(sortedKeys(description.Components.Schemes)))
		}
		return
	}
	chosen := slices.IndexFunc(alternatives, func(r openapiRequirement) bool {
		return !slices.ContainsFunc(sortedKeys(r), func(name string) bool { return !description.scheme(name).possible() })
	})
	chosen = max(chosen, 0)
	names := sortedKeys(alternatives[chosen])
	slices.SortStableFunc(names, func(x, y string) int { // keys can stand beside another authentication
		return description.scheme(x).rank() - description.scheme(y).rank()
	})
	for _, name := range names {
		var scopes []string
		for _, scope := range alternatives[chosen][name] {
			scopes = append(scopes, string(scope))
		}
		description.scheme(name).write(a, name, base, scopes)
	}
	var others []string
	for i, r := range alternatives {
		if i != chosen {
			others = append(others, sortedKeys(r)...)
		}
	}
	if len(others) > 0 {
		a.note("other security schemes, of which this is the first that fits: " + shown(others))
	}
}

// scheme returns a security scheme; the zero value if there is none of that name.
func (description *openapiDescription) scheme(name string) (s openapiScheme) {
	if description.Components == nil {
		return s
	}
	s = description.Components.Schemes[name]
	if local, ok := strings.CutPrefix(string(s.Ref), "#/components/securitySchemes/"); ok {
		s = description.Components.Schemes[local]
	}
	return s
}

func (s openapiScheme) rank() int {
	if s.Type == "apiKey" {
		return 1
	}
	return 0
}

// possible reports whether the gateway has an authentication for a scheme.
func (s openapiScheme) possible() bool {
	switch s.Type {
	case "apiKey":
		return s.In == "header" || s.In == "query"
	case "http":
		return strings.EqualFold(string(s.Scheme), "basic") || strings.EqualFold(string(s.Scheme), "bearer")
	case "oauth2":
		_, machine := s.Flows["clientCredentials"]
		_, person := s.Flows["authorizationCode"]
		return machine || person
	case "openIdConnect":
		return true
	}
	return false
}

// write writes a scheme. If there is an authentication already, a key goes beside it.
func (s openapiScheme) write(a *api, name, base string, scopes []string) {
	label := "the security scheme " + shown([]string{name})
	switch {
	case !s.possible():
		why := ", of a type that the gateway does not have"
		switch {
		case s.Type == "":
			why = ", which is not among components.securitySchemes"
		case s.Type == "mutualTLS":
			why = ": give the client certificate by transport http { tls_client_auth … }"
		case s.In == "cookie":
			why = ", a cookie: write header Cookie <name>=<value>, if no caller has cookies of its own"
		}
		a.note(label + why)
	case a.hasAuth && s.Type == "apiKey" && s.In == "header":
		a.header(string(s.Name), unknown)
	case a.hasAuth && s.Type == "apiKey":
		a.query(string(s.Name), unknown)
	case a.hasAuth:
		a.note(label + ", since there is another authentication")
	case s.Type == "apiKey":
		a.apiKey(string(s.Name), "", s.In == "query")
	case s.Type == "http" && strings.EqualFold(string(s.Scheme), "basic"):
		a.basic(true, true)
	case s.Type == "http":
		a.bearer()
	case s.Type == "openIdConnect":
		a.note("the endpoints of " + label + ": look them up in its discovery document")
		a.oauth2(oauth{code: true, scopes: scopes})
	default:
		s.oauth2(a, base, scopes)
	}
}

// oauth2 writes a flow, that without a person if there is one.
func (s openapiScheme) oauth2(a *api, base string, scopes []string) {
	flow, machine := s.Flows["clientCredentials"]
	if !machine {
		flow = s.Flows["authorizationCode"]
	}
	var others []string
	for name := range s.Flows {
		if strings.HasPrefix(name, "x-") || name == "clientCredentials" || name == "authorizationCode" && !machine {
			continue
		}
		others = append(others, name)
	}
	if len(others) > 0 {
		a.note("other OAuth flows: " + shown(others))
	}
	if len(scopes) == 0 && len(flow.Scopes) > 0 {
		a.note("scopes, of which the description asks for none; there are " + shown(sortedKeys(flow.Scopes)))
	}
	a.oauth2(oauth{
		code: !machine, tokenURL: absolute(base, string(flow.TokenURL)), authorizationURL: absolute(base, string(flow.AuthorizationURL)), scopes: scopes,
	})
}
