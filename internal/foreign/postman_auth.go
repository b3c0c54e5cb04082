// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"encoding/json"
	"reflect"
	"strings"
)

// postmanAuth is an authentication: its type, and values for each type that was ever chosen.
type postmanAuth struct {
	kind   string
	values map[string]text
	params map[string][]postmanParam // of authorization and token requests
}

type postmanParam struct {
	Key     text  `json:"key"`
	Value   loose `json:"value"`
	Enabled *bool `json:"enabled"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (auth *postmanAuth) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	var kind text
	if err := json.Unmarshal(orNull(fields["type"]), &kind); err != nil {
		return err
	}
	auth.kind = string(kind)
	values, err := postmanValues(orNull(fields[auth.kind]))
	if err != nil {
		return err
	}
	auth.values, auth.params = make(map[string]text), make(map[string][]postmanParam)
	for _, v := range values {
		if len(v.Value) > 0 && v.Value[0] == '[' {
			var params []postmanParam
			if err := json.Unmarshal(v.Value, &params); err != nil {
				return err
			}
			auth.params[string(v.Key)] = params
			continue
		}
		var val loose
		if err := json.Unmarshal(orNull(v.Value), &val); err != nil {
			return err
		}
		auth.values[string(v.Key)] = text(val)
	}
	return nil
}

// postmanMember is a value of an authentication.
type postmanMember struct {
	Key   text            `json:"key"`
	Value json.RawMessage `json:"value"`
}

// postmanValues returns the values of an authentication: a list of them in version 2.1, and in 2.0
// the members of an object.
func postmanValues(raw json.RawMessage) (values []postmanMember, err error) {
	if raw[0] != '{' {
		err = json.Unmarshal(raw, &values)
		return values, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	for _, key := range sortedKeys(members) {
		values = append(values, postmanMember{text(key), members[key]})
	}
	return values, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// equal reports whether two authentications are the same.
func (auth *postmanAuth) equal(other *postmanAuth) bool {
	if auth.none() || other.none() {
		return auth.none() && other.none()
	}
	return auth == other || reflect.DeepEqual(auth, other)
}

func (auth *postmanAuth) none() bool { return auth == nil || auth.kind == "" || auth.kind == "noauth" }

// read writes the authentication of an API.
func (auth *postmanAuth) read(a *api, p *postman) {
	if auth.none() {
		return
	}
	get := func(key string) string { return p.resolve(string(auth.values[key])) }
	switch auth.kind {
	case "basic":
		a.basic(get("username") != "", get("password") != "")
	case "bearer":
		a.bearer()
	case "apikey":
		a.apiKey(get("key"), "", get("in") == "query")
	case "oauth2":
		auth.oauth2(a, get)
	case "digest", "hawk", "awsv4", "ntlm", "edgegrid", "oauth1", "jwt", "asap":
		a.note("the authentication " + auth.kind + ", which the gateway does not have")
	default:
		a.note("the authentication, of a type that is not known here")
	}
}

func (auth *postmanAuth) oauth2(a *api, get func(string) string) {
	grant := get("grant_type")
	o := oauth{
		tokenURL: get("accessTokenUrl"), authorizationURL: get("authUrl"), clientID: get("clientId"),
		scopes: strings.Fields(strings.ReplaceAll(get("scope"), ",", " ")), audience: get("audience"), resource: []string{get("resource")},
		clientAuth: "client_secret_basic", inQuery: get("addTokenTo") == "queryParams",
	}
	switch grant {
	case "client_credentials":
	case "authorization_code", "":
		o.code, o.pkceOff = true, true
	case "authorization_code_with_pkce":
		o.code = true
		o.public = get("clientSecret") == ""
	case "implicit", "password_credentials":
		a.note("the OAuth grant " + grant + ", which the gateway does not have; this is authorization_code")
		o.code = true
	default:
		a.note("the OAuth grant, which is not known here; this is authorization_code")
		o.code = true
	}
	if get("client_authentication") == "body" {
		o.clientAuth = "client_secret_post"
	}
	if prefix, ok := auth.values["headerPrefix"]; ok {
		trimmed := strings.TrimSpace(string(prefix))
		o.prefix = &trimmed
	}
	o.authorizationParams = auth.pairs("authRequestParams")
	o.tokenParams = auth.pairs("tokenRequestParams")
	if len(auth.params["refreshRequestParams"]) > 0 {
		a.note("parameters of refresh requests alone; token_param goes to all token requests")
	}
	a.oauth2(o)
}

// pairs returns further parameters of OAuth requests.
func (auth *postmanAuth) pairs(key string) (all []pair) {
	for _, p := range auth.params[key] {
		if p.Enabled == nil || *p.Enabled {
			all = append(all, pair{string(p.Key), string(p.Value)})
		}
	}
	return all
}
