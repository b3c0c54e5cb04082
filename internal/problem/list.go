// SPDX-License-Identifier: Apache-2.0

package problem

import "net/http"

// The request cannot be sent as it is.
var (
	BadPath = &Problem{
		code: "bad-path", status: http.StatusBadRequest, title: "The path is ambiguous",
		detail: `A segment of the path is "..", as such or encoded, or holds NUL. ` +
			"Send the path that it leads to.",
	}
	Outside = &Problem{
		code: "bad-path", status: http.StatusBadRequest,
		title:  "A header field names a place elsewhere",
		detail: "Send a URL of this route, or what the API calls a place below its base URL.",
	}
	UnknownAPI = &Problem{
		code: "unknown-api", status: http.StatusNotFound, title: "There is no such API here",
		detail: "The gateway has no API of the name that the request gives. Names are compared " +
			"letter by letter, in lower case.",
	}
	BadValue = &Problem{
		code: "bad-value", status: http.StatusBadRequest, title: "A value cannot be sent",
		detail: "A header field that is made from this request would have a control character " +
			"in it, or a signed claim would not be UTF-8.",
	}
	FieldTwice = &Problem{
		code: "field-twice", status: http.StatusBadRequest, title: "A header field stands there twice",
		detail: "Of Mcp-Method, Mcp-Name and MCP-Protocol-Version the gateway and the server " +
			"could take different values. Send each once.",
	}
	TooManyFields = &Problem{
		code: "too-many-fields", status: http.StatusRequestHeaderFieldsTooLarge,
		title: "The request has too many header fields",
		detail: "It has more header fields, cookies or trailers than the gateway passes on. " +
			"Send fewer.",
	}
	TooManyParams = &Problem{
		code: "too-many-params", status: http.StatusBadRequest,
		title: "The query has too many parameters",
		detail: "It has more parameters than the gateway passes on. Send fewer, or send them " +
			"in several requests.",
	}
	TooLarge = &Problem{
		code: "too-large", status: http.StatusRequestEntityTooLarge,
		title: "The body is too large to be signed",
		detail: "The API wants a signature of the body, and the gateway keeps less of it than the " +
			"body has. Send less, or have the operator raise replay.",
	}
	SignedChunks = &Problem{
		code: "signed-chunks", status: http.StatusBadRequest,
		title: "The chunks of the body are signed already",
		detail: "The client signs the chunks of the body (aws-chunked), and the gateway's key is " +
			"another one. Send the body as it is, or with STREAMING-UNSIGNED-PAYLOAD-TRAILER over TLS.",
	}
	Method = &Problem{
		code: "method-not-allowed", status: http.StatusMethodNotAllowed,
		title:  "The method is not allowed",
		detail: "TRACE, and CONNECT for anything but a WebSocket, are never sent to an API.",
		allow:  "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
	}
)

// A browser sends the request, and a page may not do that.
var (
	CrossOrigin = &Problem{
		code: "cross-origin", status: http.StatusForbidden,
		title: "A page of another origin may not do this",
		detail: "The request comes from a page of another origin. The operator can admit that " +
			"origin with allow_origin.",
	}
	Worker = &Problem{
		code: "cross-origin", status: http.StatusForbidden,
		title: "An API's script may not be a service worker here",
		detail: "A service worker would act on the gateway's own pages, since the console is at " +
			"this host. The operator can allow that with sandbox off, or put the console on a " +
			"host of its own.",
	}
	UnknownHost = &Problem{
		code: "unknown-host", status: http.StatusForbidden,
		title: "The site does not have this host name",
		detail: "A browser asked for a host name that may be a stranger's: whoever owns a name " +
			"can point it at this gateway (DNS rebinding). The operator can make it an address " +
			"of the site, or name its origin in allow_origin.",
	}
)

// The route is to an MCP server, and a client looks for OAuth there.
var NoMetadata = &Problem{
	code: "no-oauth", status: http.StatusNotFound, title: "There is no OAuth here for callers",
	detail: "The gateway signs in to the API itself. Call the API without a token.",
}

// There is no credential for the request.
var (
	TokenUnavailable = &Problem{
		code: "token-unavailable", status: http.StatusServiceUnavailable,
		title:  "There is no credential at present",
		detail: "The credential for the API could not be obtained. The gateway's log says why.",
	}
	TokenRejected = &Problem{
		code: "token-rejected", status: http.StatusBadGateway,
		title: "The provider refuses the gateway",
		detail: "The provider of the API's tokens, or the API's own login, refuses the gateway. Its operator " +
			"has to mend that; the gateway's log says how.",
	}
	DiscoveryFailed = &Problem{
		code: "discovery-failed", status: http.StatusBadGateway,
		title:  "The provider could not be discovered",
		detail: "The gateway's log says more.",
	}
	KeyMissing = &Problem{
		code: "key-missing", status: http.StatusServiceUnavailable,
		title:  "The stored connection cannot be opened",
		detail: "The stored connection was sealed with a key that this gateway lacks.",
	}
	Identity = &Problem{
		code: "identity-required", status: http.StatusUnauthorized,
		title: "It is not known who you are",
		detail: "Each user of this API has a connection of their own, and the request does not " +
			"say whose it is. Authenticate to the gateway.",
	}
	// NoSubject is for an API whose credential is made from the caller's own token.
	NoSubject = &Problem{
		code: "identity-required", status: http.StatusUnauthorized,
		title: "The request has no token",
		detail: "The gateway exchanges each caller's own token for one of this API, and the " +
			"request has none. Send the token that the gateway's operator has told you of.",
	}
	Subject = &Problem{
		code: "subject-token-rejected", status: http.StatusUnauthorized,
		title: "Your token cannot be exchanged",
		detail: "Your token has ended, or the provider of the API's tokens does not take it. " +
			"Get a new one, and send the request again.",
	}
	// Authorization is for a connection that all callers share.
	Authorization = &Problem{
		code: "authorization-required", status: http.StatusServiceUnavailable,
		title:  "The API is not connected",
		detail: "An operator of the gateway must connect an account of the API at connect_url.",
	}
	// OwnAuthorization is for the caller's own connection.
	OwnAuthorization = &Problem{
		code: "authorization-required", status: http.StatusUnauthorized,
		title:  "Your account is not connected",
		detail: "Connect your account of the API at connect_url.",
		own:    true,
	}
	// MoreAuthorization and MoreOwnAuthorization are for a connection whose consent does not reach
	// as far as the request.
	MoreAuthorization = &Problem{
		code: "authorization-required", status: http.StatusServiceUnavailable,
		title: "The API asks for a further consent",
		detail: "The account is connected, and this request needs more than was granted. An operator of the gateway must " +
			"connect it again at connect_url.",
		more: true,
	}
	MoreOwnAuthorization = &Problem{
		code: "authorization-required", status: http.StatusUnauthorized,
		title:  "The API asks for a further consent",
		detail: "Your account is connected, and this request needs more than you have granted. Connect it again at connect_url.",
		own:    true, more: true,
	}
	Signature = &Problem{
		code: "signature", status: http.StatusBadGateway, title: "The request could not be signed",
		detail: "The gateway's log says why.",
	}
)

// The request has a credential, and no answer of the API comes of it.
var (
	NoSession = &Problem{
		code: "no-session", status: http.StatusBadGateway, title: "The gateway is misconfigured",
		detail: "This route sends to an authenticated API without the authenticated_api handler " +
			"of that API in front, or without TLS.",
	}
	NoProxy = &Problem{
		code: "no-session", status: http.StatusBadGateway, title: "The gateway is misconfigured",
		detail: "This route has no proxy behind the authenticated_api handler.",
	}
	Redirect = &Problem{
		code: "redirect", status: http.StatusBadGateway, title: "The API redirects to itself",
		detail: "The API sends this request to where the gateway has sent it already: to https or " +
			"to another host of its own, mostly. Its operator has to write that into the base " +
			"URL; the gateway's log says more.",
	}
	Refused = &Problem{
		code: "credential-refused", status: http.StatusBadGateway,
		title:  "The API refuses the gateway's credential",
		detail: "A fresh one has not helped, or could not be had. The gateway's log says more.",
	}
	Unreachable = &Problem{
		code: "api-unreachable", status: http.StatusBadGateway, title: "The API does not answer",
		detail: "The API could not be reached, or has given no answer. The gateway's log says why.",
	}
)
