// SPDX-License-Identifier: Apache-2.0

//nolint:gosec // G101: these are addresses
package oauth

import (
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Where the lines of the table come from, and the date of that text or of the look at it.
const (
	fromOAuth2 = "https://pkg.go.dev/golang.org/x/oauth2@v0.37.0/endpoints 2026-11-26"
	fromNango  = "https://github.com/NangoHQ/nango/blob/2f4c0af671e2ca1c43dd4e78f3c369218bf3fc87/packages/providers/providers.yaml 2026-08-21"

	fromAirtable   = "https://airtable.com/developers/web/api/oauth-reference 2026-11-26"
	fromGitLab     = "https://docs.gitlab.com/api/oauth2/ 2026-11-26"
	fromNotion     = "https://developers.notion.com/docs/authorization 2026-11-26"
	fromSalesforce = "https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html 2026-11-26"
	fromZoho       = "https://www.zoho.com/accounts/protocol/oauth/web-server-applications.html 2026-11-26"
)

// presets are what providers want, by name. TENANT in a URL stands for the word behind the name.
var presets = []preset{
	{
		name: "adobe", endpoint: oauth2.Endpoint{AuthURL: "https://ims-na1.adobelogin.com/ims/authorize/v2", TokenURL: "https://ims-na1.adobelogin.com/ims/token/v3"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "airtable", endpoint: oauth2.Endpoint{AuthURL: "https://airtable.com/oauth2/v1/authorize", TokenURL: "https://airtable.com/oauth2/v1/token"},
		clientAuth: provider.ClientSecretBasic, sources: []string{fromNango, fromAirtable},
	},
	{
		name: "asana", endpoint: endpoints.Asana,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "atlassian", endpoint: oauth2.Endpoint{AuthURL: "https://auth.atlassian.com/authorize", TokenURL: "https://auth.atlassian.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, consent: map[string]string{"audience": "api.atlassian.com", "prompt": "consent"}, sources: []string{fromNango},
	},
	{
		name: "attio", endpoint: oauth2.Endpoint{AuthURL: "https://app.attio.com/authorize", TokenURL: "https://app.attio.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "auth0", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/authorize", TokenURL: "https://TENANT/oauth/token"},
		tenant: "tenant.auth0.com", clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "autodesk", endpoint: oauth2.Endpoint{AuthURL: "https://developer.api.autodesk.com/authentication/v2/authorize", TokenURL: "https://developer.api.autodesk.com/authentication/v2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "battlenet", endpoint: endpoints.Battlenet,
		sources: []string{fromOAuth2},
	},
	{
		name: "bitbucket", endpoint: endpoints.Bitbucket,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "bitly", endpoint: oauth2.Endpoint{AuthURL: "https://bitly.com/oauth/authorize", TokenURL: "https://api-ssl.bitly.com/oauth/access_token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "box", endpoint: oauth2.Endpoint{AuthURL: "https://account.box.com/api/oauth2/authorize", TokenURL: "https://api.box.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "calendly", endpoint: oauth2.Endpoint{AuthURL: "https://auth.calendly.com/oauth/authorize", TokenURL: "https://auth.calendly.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "canva", endpoint: oauth2.Endpoint{AuthURL: "https://www.canva.com/api/oauth/authorize", TokenURL: "https://api.canva.com/rest/v1/oauth/token"},
		clientAuth: provider.ClientSecretBasic, sources: []string{fromNango},
	},
	{
		name: "clickup", endpoint: oauth2.Endpoint{AuthURL: "https://app.clickup.com/api", TokenURL: "https://api.clickup.com/api/v2/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "coinbase", endpoint: endpoints.Coinbase,
		sources: []string{fromOAuth2},
	},
	{
		name: "contentful", endpoint: oauth2.Endpoint{AuthURL: "https://be.contentful.com/oauth/authorize", TokenURL: "https://be.contentful.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "dialpad", endpoint: oauth2.Endpoint{AuthURL: "https://dialpad.com/oauth2/authorize", TokenURL: "https://dialpad.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "digitalocean", endpoint: oauth2.Endpoint{AuthURL: "https://cloud.digitalocean.com/v1/oauth/authorize", TokenURL: "https://cloud.digitalocean.com/v1/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "discord", endpoint: endpoints.Discord,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "docusign", endpoint: oauth2.Endpoint{AuthURL: "https://account.docusign.com/oauth/auth", TokenURL: "https://account.docusign.com/oauth/token"},
		clientAuth: provider.ClientSecretBasic, sources: []string{fromNango},
	},
	{
		name: "dropbox", endpoint: endpoints.Dropbox,
		clientAuth: provider.ClientSecretPost, consent: map[string]string{"token_access_type": "offline"}, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "entra", endpoint: oauth2.Endpoint{AuthURL: "https://login.microsoftonline.com/TENANT/oauth2/v2.0/authorize", TokenURL: "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"},
		tenant: "the tenant", usually: "common", clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2},
	},
	{
		name: "facebook", endpoint: endpoints.Facebook,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "figma", endpoint: oauth2.Endpoint{AuthURL: "https://www.figma.com/oauth", TokenURL: "https://api.figma.com/v1/oauth/token"},
		refreshURL: "https://api.figma.com/v1/oauth/refresh", clientAuth: provider.ClientSecretBasic, separator: ",", sources: []string{fromNango},
	},
	{
		name: "fitbit", endpoint: endpoints.Fitbit,
		sources: []string{fromOAuth2},
	},
	{
		name: "freshbooks", endpoint: oauth2.Endpoint{AuthURL: "https://auth.freshbooks.com/oauth/authorize", TokenURL: "https://api.freshbooks.com/auth/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "github", endpoint: endpoints.GitHub,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "gitlab", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/oauth/authorize", TokenURL: "https://TENANT/oauth/token"},
		revocationURL: "https://TENANT/oauth/revoke", tenant: "gitlab.example.com", usually: "gitlab.com", clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromGitLab},
	},
	{
		name: "google", endpoint: endpoints.Google,
		clientAuth: provider.ClientSecretPost, consent: map[string]string{"access_type": "offline", "prompt": "consent"}, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "harvest", endpoint: oauth2.Endpoint{AuthURL: "https://id.getharvest.com/oauth2/authorize", TokenURL: "https://id.getharvest.com/api/v2/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "heroku", endpoint: endpoints.Heroku,
		sources: []string{fromOAuth2},
	},
	{
		name: "hubspot", endpoint: oauth2.Endpoint{AuthURL: "https://app.hubspot.com/oauth/authorize", TokenURL: "https://api.hubapi.com/oauth/v1/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "intercom", endpoint: oauth2.Endpoint{AuthURL: "https://app.intercom.com/oauth", TokenURL: "https://api.intercom.io/auth/eagle/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "keap", endpoint: oauth2.Endpoint{AuthURL: "https://accounts.infusionsoft.com/app/oauth/authorize", TokenURL: "https://api.infusionsoft.com/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "linear", endpoint: oauth2.Endpoint{AuthURL: "https://linear.app/oauth/authorize", TokenURL: "https://api.linear.app/oauth/token"},
		clientAuth: provider.ClientSecretPost, separator: ",", consent: map[string]string{"prompt": "consent"}, sources: []string{fromNango},
	},
	{
		name: "linkedin", endpoint: endpoints.LinkedIn,
		clientAuth: provider.ClientSecretPost, pkce: pkceOff, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "mailchimp", endpoint: endpoints.Mailchimp,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "microsoft", endpoint: oauth2.Endpoint{AuthURL: "https://login.microsoftonline.com/TENANT/oauth2/v2.0/authorize", TokenURL: "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"},
		tenant: "the tenant", usually: "common", clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2},
	},
	{
		name: "miro", endpoint: oauth2.Endpoint{AuthURL: "https://miro.com/oauth/authorize", TokenURL: "https://api.miro.com/v1/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "monday", endpoint: oauth2.Endpoint{AuthURL: "https://auth.monday.com/oauth2/authorize", TokenURL: "https://auth.monday.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, pkce: pkceOff, sources: []string{fromNango},
	},
	{
		name: "mural", endpoint: oauth2.Endpoint{AuthURL: "https://app.mural.co/api/public/v1/authorization/oauth2", TokenURL: "https://app.mural.co/api/public/v1/authorization/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "notion", endpoint: oauth2.Endpoint{AuthURL: "https://api.notion.com/v1/oauth/authorize", TokenURL: "https://api.notion.com/v1/oauth/token"},
		clientAuth: provider.ClientSecretBasic, json: true, consent: map[string]string{"owner": "user"}, sources: []string{fromNango, fromNotion},
	},
	{
		name: "okta", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/oauth2/v1/authorize", TokenURL: "https://TENANT/oauth2/v1/token"},
		tenant: "tenant.okta.com", sources: []string{fromNango},
	},
	{
		name: "openstreetmap", endpoint: endpoints.OpenStreetMap,
		sources: []string{fromOAuth2},
	},
	{
		name: "outreach", endpoint: oauth2.Endpoint{AuthURL: "https://api.outreach.io/oauth/authorize", TokenURL: "https://api.outreach.io/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "pagerduty", endpoint: oauth2.Endpoint{AuthURL: "https://app.pagerduty.com/oauth/authorize", TokenURL: "https://app.pagerduty.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "pinterest", endpoint: endpoints.Pinterest,
		clientAuth: provider.ClientSecretBasic, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "pipedrive", endpoint: endpoints.Pipedrive,
		clientAuth: provider.ClientSecretBasic, pkce: pkceOff, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "productboard", endpoint: oauth2.Endpoint{AuthURL: "https://app.productboard.com/oauth2/authorize", TokenURL: "https://app.productboard.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "quickbooks", endpoint: oauth2.Endpoint{AuthURL: "https://appcenter.intuit.com/connect/oauth2", TokenURL: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "ringcentral", endpoint: oauth2.Endpoint{AuthURL: "https://platform.ringcentral.com/restapi/oauth/authorize", TokenURL: "https://platform.ringcentral.com/restapi/oauth/token"},
		sources: []string{fromNango},
	},
	{
		name: "salesforce", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/services/oauth2/authorize", TokenURL: "https://TENANT/services/oauth2/token"},
		revocationURL: "https://TENANT/services/oauth2/revoke", tenant: "example.my.salesforce.com", usually: "login.salesforce.com", clientAuth: provider.ClientSecretPost, sources: []string{fromNango, fromSalesforce},
	},
	{
		name: "shopify", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/admin/oauth/authorize", TokenURL: "https://TENANT/admin/oauth/access_token"},
		tenant: "shop.myshopify.com", clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "slack", endpoint: endpoints.Slack,
		clientAuth: provider.ClientSecretPost, separator: ",", pkce: pkceOff, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "spotify", endpoint: endpoints.Spotify,
		sources: []string{fromOAuth2},
	},
	{
		name: "square", endpoint: oauth2.Endpoint{AuthURL: "https://connect.squareup.com/oauth2/authorize", TokenURL: "https://connect.squareup.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, pkce: pkceOff, consent: map[string]string{"session": "false"}, sources: []string{fromNango},
	},
	{
		name: "strava", endpoint: endpoints.Strava,
		clientAuth: provider.ClientSecretPost, separator: ",", sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "stripe", endpoint: oauth2.Endpoint{AuthURL: "https://connect.stripe.com/oauth/authorize", TokenURL: "https://connect.stripe.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "todoist", endpoint: oauth2.Endpoint{AuthURL: "https://todoist.com/oauth/authorize", TokenURL: "https://todoist.com/oauth/access_token"},
		clientAuth: provider.ClientSecretPost, separator: ",", sources: []string{fromNango},
	},
	{
		name: "twitch", endpoint: endpoints.Twitch,
		clientAuth: provider.ClientSecretPost, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "typeform", endpoint: oauth2.Endpoint{AuthURL: "https://api.typeform.com/oauth/authorize", TokenURL: "https://api.typeform.com/oauth/token"},
		clientAuth: provider.ClientSecretPost, pkce: pkceOff, sources: []string{fromNango},
	},
	{
		name: "vimeo", endpoint: oauth2.Endpoint{AuthURL: "https://api.vimeo.com/oauth/authorize", TokenURL: "https://api.vimeo.com/oauth/access_token"},
		clientAuth: provider.ClientSecretBasic, sources: []string{fromNango},
	},
	{
		name: "webflow", endpoint: oauth2.Endpoint{AuthURL: "https://webflow.com/oauth/authorize", TokenURL: "https://api.webflow.com/oauth/access_token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "wordpress", endpoint: oauth2.Endpoint{AuthURL: "https://public-api.wordpress.com/oauth2/authorize", TokenURL: "https://public-api.wordpress.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "wrike", endpoint: oauth2.Endpoint{AuthURL: "https://login.wrike.com/oauth2/authorize/v4", TokenURL: "https://login.wrike.com/oauth2/token"},
		clientAuth: provider.ClientSecretPost, separator: ",", sources: []string{fromNango},
	},
	{
		name: "x", endpoint: endpoints.X,
		clientAuth: provider.ClientSecretBasic, sources: []string{fromOAuth2, fromNango},
	},
	{
		name: "xero", endpoint: oauth2.Endpoint{AuthURL: "https://login.xero.com/identity/connect/authorize", TokenURL: "https://identity.xero.com/connect/token"},
		sources: []string{fromNango},
	},
	{
		name: "yahoo", endpoint: endpoints.Yahoo,
		sources: []string{fromOAuth2},
	},
	{
		name: "yandex", endpoint: endpoints.Yandex,
		sources: []string{fromOAuth2},
	},
	{
		name: "zendesk", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/oauth/authorizations/new", TokenURL: "https://TENANT/oauth/tokens"},
		tenant: "tenant.zendesk.com", clientAuth: provider.ClientSecretPost, sources: []string{fromNango},
	},
	{
		name: "zoho", endpoint: oauth2.Endpoint{AuthURL: "https://TENANT/oauth/v2/auth", TokenURL: "https://TENANT/oauth/v2/token"},
		tenant: "accounts.zoho.eu", usually: "accounts.zoho.com", clientAuth: provider.ClientSecretPost, separator: ",", consent: map[string]string{"access_type": "offline", "prompt": "consent"}, sources: []string{fromNango, fromZoho},
	},
	{
		name: "zoom", endpoint: endpoints.Zoom,
		clientAuth: provider.ClientSecretBasic, sources: []string{fromOAuth2, fromNango},
	},
}
