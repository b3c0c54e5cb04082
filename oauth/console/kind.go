// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// kind is what a card is about, with the words for it. An account has a provider, which issues
// tokens; a key has its user alone; a login has the API.
type kind struct {
	// The states.
	good, refused, none, again string

	// The facts.
	since, renewed, expires, says string

	// The way out, the page that asks before it, and what that page is called.
	remove, ask string

	// What was done.
	connected, refreshed, removed string

	notRemoved, notRefreshed string // titles of what failed
	unstored                 string // what the storage does not take, and what could come of it
}

var accounts = kind{
	good: "Connected", refused: "Connected, refused by the API", none: "Not connected", again: "Must be connected again",
	since: "Connected since", renewed: "Token renewed", expires: "Access token", says: "The provider says",
	remove: "Disconnect", ask: "Disconnect ",
	connected:  "The account is connected. It serves calls from now on.",
	refreshed:  "The provider has issued a new token.",
	removed:    "The account is disconnected, and its tokens are forgotten.",
	notRemoved: "The account could not be disconnected", notRefreshed: "The token could not be refreshed",
	unstored: "the storage does not take the token. If the gateway ended now, the account could be lost.",
}

var ownKeys = kind{
	good: "Key entered", refused: "Key entered, refused by the API", none: "No key", again: "Must be entered again",
	since: "Key entered", says: "The API says",
	remove: "Remove the key", ask: "Remove your key of ",
	connected:  "The key is saved. It serves your calls from now on.",
	removed:    "The key is removed, and forgotten.",
	notRemoved: "The key could not be removed",
	unstored:   "the storage does not take the key. If the gateway ended now, you would have to enter it again.",
}

var logins = kind{
	good: "Logged in", refused: "Logged in, refused by the API", none: "Not used yet", again: "Failing",
	renewed: "Logged in", expires: "Session", says: "The API says",
	refreshed:    "The gateway has logged in anew.",
	notRefreshed: "The gateway could not log in",
}

// kindOf returns what a datasource's card is about.
func kindOf(ds datasource) *kind {
	switch ds.(type) {
	case keyed:
		return &ownKeys
	case session:
		return &logins
	default:
		return &accounts
	}
}

// problem says in plain words what the code of an error means, and returns the code, if it may be
// shown.
func (k *kind) problem(code string) (words, shown string) {
	words, shown = problem(code)
	if k == &logins {
		return loginProblem(code, words), shown
	}
	return words, shown
}

// loginProblem says what the code of an error of a login means. words are what it means elsewhere.
func loginProblem(code, words string) string {
	status, answered := strings.CutPrefix(code, "status_")
	n, _ := strconv.Atoi(status)
	switch {
	case code == "no_answer":
		return "The login at the API did not answer, or could not be reached. It is tried again."
	case !answered:
		return words
	case n == 429 || n >= 500:
		return "The API cannot say now whether it takes the login. It is tried again."
	case n == 404 || n == 405:
		return "The API has no login at the URL that the gateway asks."
	case n < 400:
		return "The API has answered without anything that requests could carry; a wrong password is answered so, too."
	default:
		return "The API refuses the login. The same one is tried ever more rarely, lest the account be locked; another one at once."
	}
}

// failing says what comes of a failure of what needs no person.
func (k *kind) failing(status *connection.Status, callers callers) string {
	switch {
	case k == &logins && status.NeedsAction:
		return callers.refused + " until somebody mends the login."
	case k == &logins:
		return callers.refused + " until the gateway has logged in. It goes on trying."
	case status.NeedsAction:
		return callers.refused + " until somebody mends what the provider refuses. It is asked again by itself."
	default:
		return callers.refused + " until the gateway gets a token. It goes on trying."
	}
}
