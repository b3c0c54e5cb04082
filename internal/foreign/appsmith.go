// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

const appsmithRemedy = "export the application in Appsmith (Export in the application's menu), as JSON"

// appsmithExport is an application as Appsmith exports it.
type appsmithExport struct {
	DatasourceList []appsmithDatasource         `json:"datasourceList"`
	Decrypted      map[string]appsmithDecrypted `json:"decryptedFields"` // by the datasource's name
}

// appsmithDecrypted is the authentication of a datasource as it stands in exports that may be
// forked: apart from the datasource, with the secrets.
type appsmithDecrypted struct {
	Basic  *appsmithAuth `json:"basicAuth"`
	Bearer *appsmithAuth `json:"bearerTokenAuth"`
	APIKey *appsmithAuth `json:"apiKeyAuth"`
	OAuth2 *appsmithAuth `json:"openAuth2"`
}

// authentication returns the authentication, or nil.
func (fields appsmithDecrypted) authentication() *appsmithAuth {
	for _, of := range []struct {
		kind text
		auth *appsmithAuth
	}{{"basic", fields.Basic}, {"bearerToken", fields.Bearer}, {"apiKey", fields.APIKey}, {"oAuth2", fields.OAuth2}} {
		if of.auth != nil {
			of.auth.Type = cmp.Or(of.auth.Type, of.kind)
			return of.auth
		}
	}
	return nil
}

type appsmithDatasource struct {
	Name          text                       `json:"name"`
	PluginID      text                       `json:"pluginId"`
	Configuration *appsmithConfig            `json:"datasourceConfiguration"`
	Storages      map[string]appsmithStorage `json:"datasourceStorages"` // by environment
}

type appsmithStorage struct {
	Configuration *appsmithConfig `json:"datasourceConfiguration"`
}

type appsmithConfig struct {
	URL            text               `json:"url"`
	Headers        []appsmithProperty `json:"headers"`
	Query          []appsmithProperty `json:"queryParameters"`
	Properties     []appsmithProperty `json:"properties"`
	Authentication *appsmithAuth      `json:"authentication"`
	Connection     *struct {
		SSL *struct {
			AuthType text `json:"authType"`
		} `json:"ssl"`
	} `json:"connection"`
}

type appsmithProperty struct {
	Key   text  `json:"key"`
	Value loose `json:"value"`
}

type appsmithAuth struct {
	Type text `json:"authenticationType"`

	Username text `json:"username"`

	Label text `json:"label"`
	AddTo text `json:"addTo"`

	HeaderPrefix *text `json:"headerPrefix"`

	GrantType            text               `json:"grantType"`
	IsAuthorized         text               `json:"isAuthorized"`
	AccessTokenURL       text               `json:"accessTokenUrl"`
	AuthorizationURL     text               `json:"authorizationUrl"`
	ClientID             text               `json:"clientId"`
	ScopeString          text               `json:"scopeString"`
	Scope                []text             `json:"scope"`
	Audience             text               `json:"audience"`
	Resource             text               `json:"resource"`
	IsTokenHeader        *bool              `json:"isTokenHeader"`
	IsAuthorization      *bool              `json:"isAuthorizationHeader"`
	SendScope            text               `json:"sendScopeWithRefreshToken"`
	RefreshLocation      text               `json:"refreshTokenClientCredentialsLocation"`
	ExpiresIn            text               `json:"expiresIn"`
	UseSelfSigned        text               `json:"useSelfSignedCert"`
	AuthenticationParams []appsmithProperty `json:"customAuthenticationParameters"`
	TokenParams          []appsmithProperty `json:"customTokenParameters"`
}

// appsmithPlugins are the plugins of datasources that have the form of an authenticated API.
var appsmithPlugins = []string{"", "restapi-plugin", "graphql-plugin"}

// readAppsmith reads an application that Appsmith has exported.
func readAppsmith(d *draft, input []byte) error {
	var export appsmithExport
	if err := decode(input, &export, appsmithRemedy); err != nil {
		return err
	}
	if export.DatasourceList == nil {
		return errors.New("datasourceList is missing; " + appsmithRemedy)
	}
	for _, ds := range export.DatasourceList {
		label := called("datasource", string(ds.Name))
		if !slices.Contains(appsmithPlugins, string(ds.PluginID)) {
			d.note(label + ", which is no authenticated API: its plugin is " + shown([]string{string(ds.PluginID)}))
			continue
		}
		a := d.add(string(ds.Name), label)
		ds.read(a, export.Decrypted[string(ds.Name)].authentication())
	}
	if len(d.apis) == 0 {
		return errors.New("datasourceList: there is no authenticated API in it (the plugin restapi-plugin or graphql-plugin); " + appsmithRemedy)
	}
	return nil
}

// config returns the configuration; there may be one for each environment.
func (ds *appsmithDatasource) config(a *api) *appsmithConfig {
	if ds.Configuration != nil {
		return ds.Configuration
	}
	environments := sortedKeys(ds.Storages)
	if len(environments) > 1 {
		a.note("the configurations of its other environments; this is that of the first one")
	}
	for _, name := range environments {
		if c := ds.Storages[name].Configuration; c != nil {
			return c
		}
	}
	return nil
}

// read writes a datasource. auth is its authentication if that stands apart.
func (ds *appsmithDatasource) read(a *api, auth *appsmithAuth) {
	c := ds.config(a)
	if c == nil {
		a.unknownURL("Appsmith exports a datasource's name alone, unless the application may be forked; " +
			"write its form's fields down as docs/from-appsmith.md says")
		return
	}
	if auth = cmp.Or(c.Authentication, auth); auth != nil {
		auth.read(a)
	}
	if c.property("isSendSessionEnabled") == "Y" {
		a.sign()
	}
	base := strings.TrimSpace(string(c.URL))
	if base != "" && !strings.Contains(base, "://") && !dynamic(base) {
		base = "http://" + base // as Appsmith does
	}
	a.baseURL(base)
	fixed(a, c.Headers, "header field", a.header)
	fixed(a, c.Query, "query parameter", a.query)
	if c.Connection != nil && c.Connection.SSL != nil && same(c.Connection.SSL.AuthType, "selfsignedcertificate") {
		if a.http {
			a.note("the self-signed certificate, since the URL is http")
			return
		}
		a.option("self_signed_cert", a.certificate())
	}
}

// fixed sets what has a fixed value.
func fixed(a *api, properties []appsmithProperty, kind string, set func(name, val string)) {
	for _, p := range properties {
		if dynamic(string(p.Value)) {
			a.note("the value of the " + kind + " " + shown([]string{string(p.Key)}) + ", which Appsmith computes")
			continue
		}
		set(string(p.Key), string(p.Value))
	}
}

func (c *appsmithConfig) property(key text) string {
	for _, p := range c.Properties {
		if p.Key == key {
			return string(p.Value)
		}
	}
	return ""
}

// dynamic reports whether a text has an expression of Appsmith's or of Postman's in it.
func dynamic(text string) bool { return strings.Contains(text, "{{") }

// same compares a word of an enumeration, which is written in several ways.
func same(val text, word string) bool {
	return strings.EqualFold(strings.NewReplacer("_", "", "-", "").Replace(string(val)), word)
}

func (auth *appsmithAuth) read(a *api) {
	prefix := ""
	if auth.HeaderPrefix != nil {
		prefix = strings.TrimSpace(string(*auth.HeaderPrefix))
	}
	switch {
	case auth.Type == "" || same(auth.Type, "dbauth") || same(auth.Type, "none"):
	case same(auth.Type, "basic"):
		a.basic(true, true)
	case same(auth.Type, "apikey"):
		a.apiKey(string(auth.Label), prefix, same(auth.AddTo, "queryparams"))
	case same(auth.Type, "bearertoken"):
		a.bearer()
	case same(auth.Type, "oauth2"):
		auth.oauth2(a, prefix)
	default:
		a.note("the authentication, of a type that is not known here")
	}
}

func (auth *appsmithAuth) oauth2(a *api, prefix string) {
	code := same(auth.GrantType, "authorizationcode")
	if !code && auth.GrantType != "" && !same(auth.GrantType, "clientcredentials") {
		a.note("the OAuth grant, which is not known here; this is client_credentials")
	}
	clientAuth := func(header bool) string {
		if header {
			return "client_secret_basic_raw"
		}
		return "client_secret_post"
	}
	o := oauth{
		code: code, tokenURL: string(auth.AccessTokenURL), authorizationURL: string(auth.AuthorizationURL),
		clientID:    string(auth.ClientID),
		clientAuth:  clientAuth(auth.IsAuthorization != nil && *auth.IsAuthorization || auth.IsAuthorization == nil && code),
		refreshAuth: clientAuth(same(auth.RefreshLocation, "header")),
		sendScope:   auth.SendScope == "true",
		audience:    string(auth.Audience), resource: []string{string(auth.Resource)},
		expiresIn: string(auth.ExpiresIn), inQuery: auth.IsTokenHeader != nil && !*auth.IsTokenHeader,
		certificate: auth.UseSelfSigned == "true",
	}
	if auth.HeaderPrefix != nil {
		o.prefix = &prefix
	}
	if code && auth.IsAuthorized == "true" {
		a.note("the account that is connected in Appsmith: tokens cannot move, so connect it once more")
	}
	scopes := strings.FieldsFunc(string(auth.ScopeString), func(r rune) bool { return r == ',' || r == ' ' })
	if len(scopes) == 0 {
		for _, scope := range auth.Scope {
			scopes = append(scopes, strings.TrimSpace(string(scope)))
		}
	}
	o.scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == "" })
	for _, p := range auth.AuthenticationParams {
		o.authorizationParams = append(o.authorizationParams, pair{string(p.Key), string(p.Value)})
	}
	for _, p := range auth.TokenParams {
		o.tokenParams = append(o.tokenParams, pair{string(p.Key), string(p.Value)})
	}
	a.oauth2(o)
}
