// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// quirks are what the documentation of a provider and its API says.
type quirks struct {
	file, name string // the example, and its datasource where a person connects an account
	perUser    bool   // each user has an account

	// Where the provider is, and what it wants.
	authorize, token, revocation string
	issuer                       string            // of a provider that is discovered
	auth                         string            // basic, post, file, or the algorithm of an assertion
	signedWith                   string            // the algorithm of an assertion that is the grant
	keyName                      string            // of an assertion: what in its header names the key
	grant                        string            // default: that of the kind of example
	nested                       bool              // the token is inside authed_user
	claims                       map[string]string // of what is signed
	json                         bool              // token requests are documents
	form                         map[string]string // of every token request
	consent                      map[string]string // of the consent page
	scopeless                    bool              // scopes are set at the provider, or by another parameter
	pkceOff                      bool

	// What it answers.
	life         int  // expires_in; 0: it says none
	refreshes    bool // it issues refresh tokens
	keepsRefresh bool // the first refresh token stays in use
	more         map[string]any

	// How the API is called.
	call           string // the path below the gateway's route
	at             string // what the API gets; default: see wanted
	header, prefix string // where the credential is; default Authorization
	signed         string // the algorithm of a token that the gateway signs for the API
	static         string // the whole value of that field, where it is no token
	fields         map[string]string
	noFields       []string
}

const (
	bearer    = "Bearer "
	jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// wanted is what the API gets for a call, by its path at the gateway. The first segment is the
// host.
var wanted = map[string]string{
	"/customers": "api.stripe.com/v1/customers", "/Messages.json": "api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json",
	"/models": "api.openai.com/v1/models", "/v1/models": "api.anthropic.com/v1/models", "/shop.json": "example.myshopify.com/admin/api/2026-01/shop.json",
	"/users/me": "api.box.com/2.0/users/me", "/orders": "api.example.com/v1/orders", "/me": "graph.microsoft.com/v1.0/me",
	"/users": "tenant.okta.com/api/v1/users", "/Patient": "fhir.example.com/r4/Patient", "/limits": "example.my.salesforce.com/services/data/v62.0/limits",
	"/orders/latest": "api.example.com/v1/orders/latest", "/spotify/me": "api.spotify.com/v1/me", "/discord/users/@me": "discord.com/api/v10/users/@me", "/airtable/meta/bases": "api.airtable.com/v0/meta/bases",
	"/linear/graphql": "api.linear.app/graphql", "/box/folders/0": "api.box.com/2.0/folders/0", "/zendesk/tickets.json": "example.zendesk.com/api/v2/tickets.json",
	"/atlassian/oauth/token/accessible-resources": "api.atlassian.com/oauth/token/accessible-resources", "/baserow/user/": "api.baserow.io/api/user/",
	"/dropbox/users": "api.dropboxapi.com/2/users", "/graph/me": "graph.microsoft.com/v1.0/me", "/github/user": "api.github.com/user",
	"/gitlab/user": "gitlab.com/api/v4/user", "/calendar/users": "www.googleapis.com/calendar/v3/users", "/hubspot/crm": "api.hubapi.com/crm",
	"/notion/v1/users/me": "api.notion.com/v1/users/me", "/salesforce/limits": "example.my.salesforce.com/services/data/v62.0/limits",
	"/slack/conversations.list": "slack.com/api/conversations.list", "/xero/connections": "api.xero.com/connections", "/zoom/users/me": "api.zoom.us/v2/users/me",
}

// providers are those of the examples. What an example says at its head is where the facts are
// from.
var providers = []*quirks{
	// Keys.
	{
		file: "stripe", call: "customers", static: bearer + "value-of-stripe_api_key",
		fields: map[string]string{"Stripe-Version": "2025-09-30.clover"}, noFields: []string{"Stripe-Account", "Stripe-Context"},
	},
	{file: "twilio", call: "Messages.json", static: "Basic dmFsdWUtb2YtdHdpbGlvX2FwaV9rZXk6c2VjcmV0LW9mLXRoZS1leGFtcGxl"},
	{file: "openai", call: "models", static: bearer + "value-of-openai_api_key", noFields: []string{"OpenAI-Organization", "OpenAI-Project"}},
	{
		file: "anthropic", call: "v1/models", header: "X-Api-Key", static: "value-of-anthropic_api_key",
		fields: map[string]string{"Anthropic-Version": "2023-06-01"}, noFields: []string{"Authorization"},
	},

	{
		file: "datadog", call: "users", header: "DD-API-KEY", static: "value-of-dd_api_key",
		fields: map[string]string{"DD-APPLICATION-KEY": "value-of-dd_app_key"}, at: "api.datadoghq.com/users",
	},
	{file: "telegram", call: "getMe", at: "api.telegram.org/botvalue-of-telegram_token/getMe"},

	// Tokens that the gateway signs.
	{
		file: "app_store_connect", call: "v1/apps", signed: "ES256", prefix: bearer, at: "api.appstoreconnect.apple.com/v1/apps",
		claims: map[string]string{"aud": "appstoreconnect-v1", "iss": "value-of-app_store_issuer"},
	},
	{
		file: "ghost", call: "posts/", signed: "HS256", prefix: "Ghost ", at: "blog.example.com/ghost/api/admin/posts/",
		claims: map[string]string{"aud": "/admin/"}, fields: map[string]string{"Accept-Version": "v5.0"},
	},
	{
		file: "snowflake_key_pair", call: "api/v2/databases", signed: "RS256", prefix: bearer, at: "myorg-myaccount.snowflakecomputing.com/api/v2/databases",
		claims: map[string]string{"sub": "value-of-snowflake_user", "iss": "value-of-snowflake_user.value-of-snowflake_key_fp"},
		fields: map[string]string{"X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"},
	},

	// Client credentials.
	{
		file: "oauth2_auth0", call: "orders", token: "value-of-auth0_domain/oauth/token", auth: "post", life: 86400, prefix: bearer,
		form: map[string]string{"audience": "https://api.example.com/"},
	},
	{
		file: "oauth2_box", call: "users/me", token: "api.box.com/oauth2/token", auth: "post", life: 3600, prefix: bearer, noFields: []string{"As-User"},
		form: map[string]string{"box_subject_type": "enterprise", "box_subject_id": "value-of-box_enterprise_id"}, more: map[string]any{"restricted_to": []any{}},
	},
	{
		file: "oauth2_cognito", issuer: "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE00", call: "orders", token: "example.auth.eu-central-1.amazoncognito.com/oauth2/token", auth: "basic", life: 3600, prefix: bearer,
		form: map[string]string{"scope": "orders/read orders/write"},
	},
	{
		file: "oauth2_entra_id", call: "me", token: "login.microsoftonline.com/value-of-entra_tenant/oauth2/v2.0/token", auth: "post", life: 3599, prefix: bearer,
		form: map[string]string{"scope": "https://graph.microsoft.com/.default"}, more: map[string]any{"ext_expires_in": 3599},
	},
	{
		file: "oauth2_entra_id_certificate", call: "me", token: "login.microsoftonline.com/value-of-entra_tenant/oauth2/v2.0/token", auth: "PS256",
		keyName: "x5t#S256", life: 3599, prefix: bearer, form: map[string]string{"scope": "https://graph.microsoft.com/.default"},
	},
	{
		file: "oauth2_entra_id_workload_identity", call: "me", token: "login.microsoftonline.com/value-of-azure_tenant_id/oauth2/v2.0/token", auth: "file",
		life: 3599, prefix: bearer, form: map[string]string{"scope": "https://graph.microsoft.com/.default"},
	},
	{
		file: "oauth2_keycloak", issuer: "keycloak.example.com/realms/main", call: "orders", token: "keycloak.example.com/realms/main/protocol/openid-connect/token", auth: "basic", life: 300, prefix: bearer,
		more: map[string]any{"not-before-policy": 0, "refresh_expires_in": 0},
	},
	{
		file: "oauth2_okta", issuer: "value-of-okta_domain/oauth2/default", call: "orders", token: "value-of-okta_domain/oauth2/default/v1/token", auth: "basic", life: 3600, prefix: bearer,
		form: map[string]string{"scope": "orders.read"},
	},
	{
		file: "oauth2_okta_private_key", call: "users", token: "tenant.okta.com/oauth2/v1/token", auth: "RS256", keyName: "kid", life: 3600, prefix: bearer,
		form: map[string]string{"scope": "okta.users.read"},
	},
	{file: "oauth2_salesforce", call: "limits", token: "example.my.salesforce.com/services/oauth2/token", auth: "post", prefix: bearer, more: map[string]any{
		"instance_url": "https://example.my.salesforce.com", "issued_at": "1790000000000", "signature": "c2ln",
	}},
	{
		file: "oauth2_shopify", call: "shop.json", token: "example.myshopify.com/admin/oauth/access_token", auth: "post", life: 86399,
		header: "X-Shopify-Access-Token", noFields: []string{"Authorization"}, more: map[string]any{"scope": "read_products,write_products"},
	},
	{
		file: "oauth2_smart_backend", call: "Patient", token: "fhir.example.com/auth/token", auth: "ES384", keyName: "kid", life: 300, prefix: bearer,
		form: map[string]string{"scope": "system/Patient.read"},
	},

	{
		file: "oauth2_zoom_server_to_server", call: "users/me", token: "zoom.us/oauth/token", auth: "basic", grant: "account_credentials", life: 3600,
		prefix: bearer, form: map[string]string{"account_id": "value-of-zoom_account_id"}, at: "api.zoom.us/v2/users/me",
	},

	// An assertion in the place of a person.
	{
		file: "oauth2_google_service_account", call: "b", token: "oauth2.googleapis.com/token", auth: "grant", signedWith: "RS256", grant: jwtBearer, life: 3599,
		prefix: bearer, at: "storage.googleapis.com/storage/v1/b", claims: map[string]string{
			"iss": "gateway@p.iam.gserviceaccount.com", "aud": "FAKE/oauth2.googleapis.com/token", "scope": "https://www.googleapis.com/auth/devstorage.read_only",
		},
	},
	{
		file: "oauth2_salesforce_jwt", call: "limits", token: "example.my.salesforce.com/services/oauth2/token", auth: "grant", signedWith: "RS256", grant: jwtBearer,
		prefix: bearer, claims: map[string]string{"iss": clientID, "sub": "value-of-salesforce_user", "aud": "https://login.salesforce.com"},
	},

	// Authorization codes.
	{
		file: "oidc_discovery", name: "orders", issuer: "login.example.com", call: "latest", authorize: "login.example.com/oidc/authorize",
		token: "login.example.com/oidc/token", revocation: "login.example.com/oidc/revoke", auth: "basic",
		consent: map[string]string{"scope": "orders.read offline_access", "prompt": "consent"}, life: 3600, refreshes: true, prefix: bearer,
	},
	{
		file: "oauth2_code_airtable", name: "airtable", call: "meta/bases", authorize: "airtable.com/oauth2/v1/authorize", token: "airtable.com/oauth2/v1/token",
		auth: "basic", consent: map[string]string{"scope": "data.records:read schema.bases:read"}, life: 3600, refreshes: true, prefix: bearer,
		more: map[string]any{"refresh_expires_in": 5184000},
	},
	{
		file: "oauth2_code_atlassian", name: "atlassian", call: "oauth/token/accessible-resources", authorize: "auth.atlassian.com/authorize",
		token: "auth.atlassian.com/oauth/token", auth: "post", life: 3600, refreshes: true, prefix: bearer,
		consent: map[string]string{"audience": "api.atlassian.com", "prompt": "consent", "scope": "offline_access read:jira-work read:jira-user"},
	},
	{
		file: "oauth2_code_baserow", name: "baserow", call: "user/", authorize: "sso.example.com/oauth/authorize", token: "sso.example.com/oauth/token",
		auth: "basic", scopeless: true, life: 600, refreshes: true, prefix: "JWT ",
	},
	{
		file: "oauth2_code_box", name: "box", call: "folders/0", authorize: "account.box.com/api/oauth2/authorize", token: "api.box.com/oauth2/token",
		revocation: "api.box.com/oauth2/revoke", auth: "post", scopeless: true, life: 3600, refreshes: true, prefix: bearer,
	},
	{
		file: "oauth2_code_discord", name: "discord", call: "users/@me", authorize: "discord.com/oauth2/authorize", token: "discord.com/api/oauth2/token",
		revocation: "discord.com/api/oauth2/token/revoke", auth: "basic", consent: map[string]string{"scope": "identify guilds"},
		life: 604800, refreshes: true, prefix: bearer, fields: map[string]string{"User-Agent": "DiscordBot (https://gateway.example.com, 1.0)"},
	},
	{
		file: "oauth2_code_dropbox", name: "dropbox", call: "users", authorize: "www.dropbox.com/oauth2/authorize", token: "api.dropboxapi.com/oauth2/token",
		auth: "post", consent: map[string]string{"token_access_type": "offline"}, life: 14400, refreshes: true, keepsRefresh: true, prefix: bearer,
	},
	{
		file: "oauth2_code_entra_id", name: "graph", call: "me", authorize: "login.microsoftonline.com/value-of-entra_tenant/oauth2/v2.0/authorize",
		token: "login.microsoftonline.com/value-of-entra_tenant/oauth2/v2.0/token", auth: "post",
		consent: map[string]string{"scope": "offline_access User.Read Mail.Read", "prompt": "select_account"}, life: 3599, refreshes: true, prefix: bearer,
	},
	{
		file: "oauth2_code_github", name: "github", perUser: true, call: "user", authorize: "github.com/login/oauth/authorize", token: "github.com/login/oauth/access_token",
		auth: "post", consent: map[string]string{"scope": "repo read:org"}, prefix: bearer, fields: map[string]string{"Accept": "application/vnd.github+json"},
	},
	{
		file: "oauth2_code_gitlab", name: "gitlab", call: "user", authorize: "gitlab.com/oauth/authorize", token: "gitlab.com/oauth/token",
		revocation: "gitlab.com/oauth/revoke", auth: "post", life: 7200, refreshes: true, prefix: bearer, more: map[string]any{"created_at": 1790000000},
	},
	{
		file: "oauth2_code_google", name: "calendar", perUser: true, call: "users", authorize: "accounts.google.com/o/oauth2/auth", token: "oauth2.googleapis.com/token",
		revocation: "oauth2.googleapis.com/revoke", auth: "post", consent: map[string]string{"access_type": "offline", "prompt": "consent"},
		life: 3599, refreshes: true, keepsRefresh: true, prefix: bearer,
	},
	{
		file: "oauth2_code_hubspot", name: "hubspot", call: "crm", authorize: "app.hubspot.com/oauth/authorize", token: "api.hubapi.com/oauth/2026-03/token",
		auth: "post", life: 1800, refreshes: true, keepsRefresh: true, prefix: bearer,
	},
	{
		file: "oauth2_code_linear", name: "linear", call: "graphql", authorize: "linear.app/oauth/authorize", token: "api.linear.app/oauth/token",
		revocation: "api.linear.app/oauth/revoke", auth: "post", consent: map[string]string{"scope": "read,comments:create"},
		life: 86399, refreshes: true, prefix: bearer, more: map[string]any{"scope": "read comments:create"},
	},
	{
		file: "oauth2_code_notion", name: "notion", call: "v1/users/me", authorize: "api.notion.com/v1/oauth/authorize", token: "api.notion.com/v1/oauth/token",
		auth: "basic", json: true, scopeless: true, consent: map[string]string{"owner": "user"}, refreshes: true, prefix: bearer,
		fields: map[string]string{"Notion-Version": "2022-06-28"}, more: map[string]any{"workspace_icon": nil, "owner": map[string]any{"workspace": true}},
	},
	{
		file: "oauth2_code_salesforce", name: "salesforce", call: "limits", authorize: "example.my.salesforce.com/services/oauth2/authorize",
		token: "example.my.salesforce.com/services/oauth2/token", revocation: "example.my.salesforce.com/services/oauth2/revoke", auth: "post",
		consent: map[string]string{"scope": "api refresh_token"}, refreshes: true, keepsRefresh: true, prefix: bearer,
		more: map[string]any{"issued_at": "1790000000000"},
	},
	{
		file: "oauth2_code_slack", name: "slack", call: "conversations.list", authorize: "slack.com/oauth/v2/authorize", token: "slack.com/api/oauth.v2.access",
		auth: "post", pkceOff: true, consent: map[string]string{"scope": "channels:read,chat:write"}, life: 43200, refreshes: true, prefix: bearer,
		more: map[string]any{"ok": true, "token_type": "bot", "authed_user": map[string]any{"id": "U1"}},
	},
	{
		file: "oauth2_code_slack_user", name: "slack", perUser: true, call: "conversations.list", authorize: "slack.com/oauth/v2/authorize",
		token: "slack.com/api/oauth.v2.access", auth: "post", pkceOff: true, scopeless: true, nested: true,
		consent: map[string]string{"user_scope": "channels:read,chat:write"}, prefix: bearer, more: map[string]any{"ok": true},
	},
	{
		file: "oauth2_code_spotify", name: "spotify", call: "me", authorize: "accounts.spotify.com/authorize", token: "accounts.spotify.com/api/token",
		auth: "basic", consent: map[string]string{"scope": "playlist-read-private user-library-read"}, life: 3600, refreshes: true, keepsRefresh: true, prefix: bearer,
	},
	{
		file: "oauth2_code_xero", name: "xero", call: "connections", authorize: "login.xero.com/identity/connect/authorize",
		token: "identity.xero.com/connect/token", revocation: "identity.xero.com/connect/revocation", auth: "basic",
		consent: map[string]string{"scope": "offline_access accounting.invoices.read accounting.contacts.read"}, life: 1800, refreshes: true, prefix: bearer,
		fields: map[string]string{"Xero-Tenant-Id": "not-known-yet"},
	},
	{
		file: "oauth2_code_zendesk", name: "zendesk", call: "tickets.json", authorize: "example.zendesk.com/oauth/authorizations/new",
		token: "example.zendesk.com/oauth/tokens", auth: "post", json: true, consent: map[string]string{"scope": "read tickets:write"},
		life: 1800, refreshes: true, prefix: bearer, more: map[string]any{"refresh_token_expires_in": 2592000},
	},
	{
		file: "oauth2_code_zoom", name: "zoom", call: "users/me", authorize: "zoom.us/oauth/authorize", token: "zoom.us/oauth/token", auth: "basic",
		scopeless: true, life: 3600, refreshes: true, prefix: bearer, more: map[string]any{"api_url": "https://api.zoom.us"},
	},
}

// clientKey returns the files of a key that signs with an algorithm, and of its certificate, and
// what verifies its signatures.
func clientKey(t *testing.T, algorithm string) (key, cert string, public crypto.PublicKey) {
	t.Helper()
	var signer crypto.Signer
	var err error
	switch algorithm {
	case "ES384":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256", "RS256":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return "", "", nil
	}
	if err != nil {
		t.Fatal(err)
	}
	identity := rig.NewIdentityFor(t, signer, nil, rig.AsCA)
	return rig.Save(t, identity.KeyPEM(t)), rig.Save(t, identity.PEM), signer.Public()
}
