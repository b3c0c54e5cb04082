// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// message is a page that says one thing. Its words are fixed and hold nothing from a request, so
// nobody can make a page of ours say their words. On pages for operators, what a token endpoint
// has written stands beside our words, marked as the provider's.
type message struct {
	Status   int
	Title    string
	Text     string
	Says     string // what the provider, or the API, has written, for operators alone
	Whose    string // what stands before that; default "The provider says"
	Own      bool   // Says are the gateway's own words
	Remedy   string // what to do about it, for operators alone
	Hint     string // what to do
	Command  string // what to type in order to do it
	Good     bool
	Link     string // "" for the console, if the user may see it
	LinkText string

	alone bool // no link to the console
}

// to returns the message with a link to the console, unless a ticket stands for the user.
func (m message) to(flow *oauth.Flow, ds datasource) *message {
	if !flow.Ticket {
		m.Link = card(ds.Console(), ds, "")
	}
	return &m
}

const hintLog = "The operator of the gateway finds in its log what to do."

const hintLogMore = "The gateway's log says more."

const startAgain = "Open the connected accounts and press Connect again."

var (
	messageNobody = message{
		Status: http.StatusForbidden, Title: "You are not signed in", alone: true,
		Text:    "This page is for people whom the gateway knows, and this request came without a user.",
		Hint:    "If you run this gateway, put an authentication handler such as basic_auth in front of this page, or make a one-time link:",
		Command: "caddy authenticated-api connect <name>",
	}
	messageNotFound = message{
		Status: http.StatusNotFound, Title: "There is nothing here for you",
		Text: "Either there is no such page, or it is about an account that is not yours to manage.",
	}
	messageMethod = message{
		Status: http.StatusMethodNotAllowed, Title: "This address does not work that way",
		Text: "It belongs to a button. Use the button.",
	}
	messageEarly = message{
		Status: http.StatusTooEarly, Title: "Please try again", alone: true,
		Text: "The request came before the connection was secure against repetition. Reload the page.",
	}
	messageCrossOrigin = message{
		Status: http.StatusForbidden, Title: "Another site asked for this",
		Text: "The request came from a page of another site, and nothing was done. Use the buttons of this page itself.",
	}
	messageNoIdentity = message{
		Status: http.StatusForbidden, Title: "You have no identity for this one",
		Text: "Each user has a connection of their own here, and your sign-in does not say which is yours.",
		Hint: "The operator of the gateway can say which value of the request tells users apart.",
	}
	messageTooLarge = message{
		Status: http.StatusRequestEntityTooLarge, Title: "The form is too large",
		Text: "Nothing was done.",
	}
	messageBadForm = message{
		Status: http.StatusBadRequest, Title: "The form cannot be read",
		Text: "Nothing was done.",
	}
	messageCannotBegin = message{
		Status: http.StatusServiceUnavailable, Title: "The gateway cannot do this now",
		Text: "Something in the gateway's own configuration or storage is in the way. Its log says what.",
	}
	messageNotRenewable = message{
		Status: http.StatusConflict, Title: "There is nothing to refresh this with",
		Text: "The provider has given no refresh token. The access token is used as it is, until it ends or the API refuses it. Nothing was changed.",
		Hint: "Connect the account again when it has ended.",
	}
	messageNotRevoked = message{
		Status: http.StatusOK, Title: "Disconnected here, but the provider could not be told",
		Text: "The gateway has forgotten the account and cannot use it any more. At the provider the access may still be listed.",
		Hint: "Remove the access in your account's settings at the provider.",
	}
)

// These say what can be wrong with a ticket.
var (
	messageTicketBad = message{
		Status: http.StatusForbidden, Title: "This link is not valid", alone: true,
		Text: "It was cut, changed, or made for another gateway.", Hint: newTicket,
	}
	messageTicketExpired = message{
		Status: http.StatusForbidden, Title: "This link has expired", alone: true,
		Text: "It is older than ten minutes.", Hint: newTicket,
	}
	messageTicketUsed = message{
		Status: http.StatusForbidden, Title: "This link has been used", alone: true,
		Text: "It connects an account once, and the connection has changed since the link was made.", Hint: newTicket,
	}
	messageTicketUsedUp = message{
		Status: http.StatusBadRequest, Title: "This link has been used", alone: true,
		Text: "It connects an account once, and somebody was faster. Your account was not connected.", Hint: newTicket,
	}
	messageTicketElsewhere = message{
		Status: http.StatusConflict, Title: "Open the link as it was given to you", alone: true,
		Text: "This page was opened under another address than the one that the provider sends you back to, so the way back would fail.",
	}
)

const newTicket = "Ask the operator of the gateway for a new one."

// messageElsewhere says where a datasource can be connected.
func messageElsewhere(ds datasource) *message {
	return &message{
		Status: http.StatusConflict, Title: "Open this page at its public address",
		Text: "The provider sends you back to another address than the one that you have opened, and your browser would not find what it " +
			"needs there. Nothing was done.",
		Link: ds.Console(), LinkText: "To the public address",
	}
}

// messageNowhere says that the way back from a provider leads to no console.
func messageNowhere(ds datasource) *message {
	return &message{
		Status: http.StatusConflict, Title: "The way back would lead nowhere",
		Text: "The provider would send you back to " + ds.Redirect() + ", where this gateway has no such page. Nothing was done.",
		Hint: "The operator of the gateway can put authenticated_api_console there, or correct redirect_url, here and at the provider.",
	}
}

// These say what can be wrong with a callback.
var (
	messageNoFlow = message{
		Status: http.StatusBadRequest, Title: "This did not begin in this browser, or too long ago",
		Text: "A provider has sent you here, and this browser knows of nothing that fits: it was begun in another browser, or more than ten " +
			"minutes ago. Nothing was connected.",
		Hint: startAgain,
	}
	messageNoState = message{
		Status: http.StatusBadRequest, Title: "The answer does not say what it is for",
		Text: "Whoever has sent you here has left out the value (state) that says to which attempt the answer belongs. Nothing was connected.",
		Hint: startAgain,
	}
	messageUnclear = message{
		Status: http.StatusBadRequest, Title: "The provider's answer cannot be read",
		Text: "Of state, code, error and iss, one is badly encoded, or there twice. Nothing was connected.", Hint: startAgain,
	}
	messageForm = message{
		Status: http.StatusMethodNotAllowed, Title: "The provider answers in another way",
		Text: "It has sent a form, and this gateway takes what stands in the address of the callback. Nothing was connected.",
		Hint: "The operator of the gateway can mend that with authorization_param response_mode query.",
	}
	messageLate = message{
		Status: http.StatusBadRequest, Title: "That took longer than ten minutes",
		Text: "Nothing was connected.", Hint: startAgain,
	}
	messageOtherUser = message{
		Status: http.StatusBadRequest, Title: "Somebody else began this",
		Text: "You are not signed in as the user who pressed Connect. Nothing was connected.",
		Hint: "Sign in as that user, or press Connect yourself.",
	}
	messageNoOperator = message{
		Status: http.StatusForbidden, Title: "You may not connect this account",
		Text: "Only operators may connect an account that all callers share. Nothing was connected.",
	}
	messageOperatorsOnly = message{
		Status: http.StatusForbidden, Title: "This is for operators",
		Text: "Only operators may connect, refresh or disconnect an account that all callers share. Nothing was done.",
		Hint: "Operators are named in the gateway's configuration, with the option operators of authenticated_api_console.",
	}
	messageIssuer = message{
		Status: http.StatusBadRequest, Title: "Another provider sent you back",
		Text: "The answer does not name the provider that it was expected from. Nothing was connected, and no secret was sent.",
		Hint: "If you run this gateway, compare issuer with what the provider says of itself.",
	}
	messageNoCode = message{
		Status: http.StatusBadRequest, Title: "The provider's answer is incomplete",
		Text: "It has neither a code nor an error. Nothing was connected.", Hint: startAgain,
	}
	messageNoAnswerYet = message{
		Status: http.StatusGatewayTimeout, Title: "The provider has not answered yet",
		Text: "The gateway goes on waiting, and the account may still be connected.", Hint: "Look at the connected accounts in a minute.",
	}
	messageOvertaken = message{
		Status: http.StatusConflict, Title: "Another account was connected at the same time",
		Text: "It is in use now. Yours was not connected, and was given back to the provider.", Hint: startAgain,
	}
	messageDone = message{
		Status: http.StatusOK, Title: "The account is connected", Good: true,
		Text: "It is already connected; there is nothing left to do here. You may close this window.",
	}
)

// denials are the errors of an authorization endpoint (RFC 6749 §4.1.2.1, OpenID Connect Core
// §3.1.2.6), in plain words.
var denials = map[string]message{
	"access_denied": {
		Title: "You declined", Text: "The provider says that access was declined, by you or by a rule of your organization.",
		Hint: "If that was a mistake, open the connected accounts and press Connect again.",
	},
	"login_required": {
		Title: "You are not signed in at the provider", Text: "The provider wants you to sign in first.", Hint: startAgain,
	},
	"consent_required": {
		Title: "Your consent is missing", Text: "The provider wants your consent, or that of an administrator.", Hint: startAgain,
	},
	"interaction_required": {
		Title: "The provider wants to ask you something", Text: "It did not get to do so.", Hint: startAgain,
	},
	"invalid_scope": {
		Title: "The provider does not grant this", Text: "It does not know a scope that the gateway asks for, or does not give it to this client.",
		Hint: "The operator of the gateway can mend scopes.",
	},
	"invalid_request": {
		Title: "The provider does not understand the request", Text: "A parameter is missing, unknown or given twice.",
		Hint: "The operator of the gateway can mend that with authorization_param, audience and resource.",
	},
	"invalid_target": {
		Title: "The provider does not know the API", Text: "It refuses the audience or resource that the gateway asks for.",
		Hint: "The operator of the gateway can mend audience and resource.",
	},
	"unauthorized_client": {
		Title: "The provider does not let this gateway in", Text: "The client is not allowed to ask for a code.",
		Hint: "The operator of the gateway can allow the authorization code grant at the provider.",
	},
	"unsupported_response_type": {
		Title: "The provider does not support this", Text: "It does not give codes to this client.",
		Hint: "The operator of the gateway can allow the authorization code grant at the provider.",
	},
	"server_error": {
		Title: "The provider failed", Text: "It has met an error of its own.", Hint: "Try again in a few minutes.",
	},
	"temporarily_unavailable": {
		Title: "The provider is busy", Text: "It cannot answer at the moment.", Hint: "Try again in a few minutes.",
	},
}

// messageOfDenial says in fixed words why a provider sends somebody back without a code.
func messageOfDenial(code string) message {
	m, ok := denials[code]
	if !ok {
		m = message{
			Title: "The provider did not connect the account", Text: "It has given a reason that this gateway does not know. The gateway's log has it.",
			Hint: startAgain,
		}
	}
	m.Status = http.StatusBadRequest
	m.Text += " Nothing was connected."
	return m
}

// codeOther stands for a provider's code that is not fit to be shown.
const codeOther = "other"

// loggedDenial returns the error for the log: the provider's own code, if it is a single word.
func loggedDenial(code string) string {
	if _, shown := problem(code); shown != "" {
		return shown
	}
	return codeOther
}

// problems are the errors of a token endpoint (RFC 6749 §5.2), the reasons of an
// [record.AuthorizationError] and the other values of the last error in an [connection.Status], in
// plain words.
var problems = map[string]string{
	"invalid_grant":             "The provider does not accept the grant any more: it has expired, was used already, or was withdrawn.",
	"invalid_client":            problemClient,
	"unauthorized_client":       "The provider does not allow this client to do that.",
	"invalid_scope":             "The provider does not grant a scope that the gateway asks for.",
	"invalid_request":           "The provider does not understand the gateway's request.",
	"invalid_target":            "The provider does not know the audience or resource that the gateway asks for.",
	"unsupported_grant_type":    "The provider does not support this grant.",
	"unsupported_response_type": "The provider does not support this grant.",
	"access_denied":             "The provider denies access.",
	"server_error":              "The provider has met an error of its own. It is asked again.",
	"temporarily_unavailable":   "The provider is busy. It is asked again.",
	"slow_down":                 "The provider wants to be asked less often. It is asked again later.",

	"incorrect_client_credentials": problemClient, // GitHub
	"bad_client_secret":            problemClient, // Slack

	"no_answer":        "The provider could not be reached, or gave no answer that the gateway can use. It is asked again.",
	"discovery_failed": "Who the provider is could not be found out.",
	"key_missing":      "What is stored was sealed with a key that this gateway lacks.",
	"storage_failed":   "The gateway's storage fails. The gateway's log says how.",
}

const (
	problemClient  = "The provider does not accept the gateway's client id and secret."
	problemUnknown = "The token could not be renewed. The gateway's log says why."
)

// problem says in plain words what a code means. It also returns the code, if it looks like one
// and so may be shown.
func problem(code string) (words, shown string) {
	if code == "" {
		return "", ""
	}
	words, ok := problems[code]
	if !ok {
		words = record.Reason(code).ForUser()
		ok = words != ""
	}
	if strings.HasPrefix(code, "status_") { // of an answer without an error
		words, ok = "The provider gave no answer that the gateway can use. It is asked again.", true
	}
	if !ok {
		words = problemUnknown
	}
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
	if strings.Trim(code, allowed) == "" && len(code) <= 64 {
		shown = code
	}
	return words, shown
}

// messageOf says why something failed. The status is 502 if the provider refuses for good, else
// 503.
func messageOf(title string, err error) *message {
	m := &message{Status: http.StatusServiceUnavailable, Title: title}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok {
		m.Text, _ = problem(string(e.Reason))
		m.Hint = "The account must be connected again."
		return m
	}
	if _, ok := errors.AsType[*connection.EarlyRefusalError](err); ok {
		m.Status = http.StatusConflict
		m.Text = "The provider refuses to renew the access now. The access that there is goes on until it ends; then the provider is asked again."
		m.Hint = "If somebody has removed the gateway's access at the provider, press Connect again."
		return m
	}
	e, ok := errors.AsType[*provider.Error](err)
	switch {
	case errors.Is(err, record.ErrKeyMissing):
		m.Text = "What is stored was sealed with a key that this gateway lacks."
		m.Hint = "The operator of the gateway can add that key, or the account can be connected again."
	case ok && e.Code != "":
		m.Text, ok = problems[e.Code]
		if !ok {
			m.Text = "The provider has given a reason that this gateway does not know. The gateway's log has it."
		}
		if e.Rejected() || m.Text == problemClient {
			m.Status = http.StatusBadGateway
			m.Hint = hintLog
		}
	case errors.Is(err, context.DeadlineExceeded):
		m.Text = "The provider did not answer in time."
		m.Hint = "Try again in a few minutes."
	case ok && e.Status != 0:
		m.Text = "The provider gave no answer that the gateway can use."
		m.Hint = "Try again in a few minutes. The gateway's log says more."
	case ok:
		m.Text = "The provider could not be reached."
		m.Hint = "Try again in a few minutes. The gateway's log says more."
	default:
		m.Text = "Something in the gateway itself, such as its storage, is in the way. Its log says what."
	}
	return m
}

const textCodeRefused = "The provider does not accept the code that it has sent with you: it has expired, was used already, or was made for another address."

// messageOfFinish says why a code could not be redeemed.
func messageOfFinish(err error) message {
	m := *messageOf("The account could not be connected", err)
	m.Status = http.StatusBadGateway
	// Only a renewal is tried again: a code is good once.
	m.Text, _, _ = strings.Cut(m.Text, " It is asked again")
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Code == "invalid_grant" {
		m.Text = textCodeRefused
		m.Hint = startAgain
	}
	if m.Hint == "" {
		m.Hint = startAgain
	}
	return m
}
