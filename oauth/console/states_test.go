// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// situation is a state of a connection with all that the page says of it by.
type situation struct {
	state    string
	code     string // the last error
	valid    bool   // there is an access token that can be sent
	endless  bool   // its end is not known
	unstored bool
	needs    bool // somebody must do something
	lonely   bool // there is no refresh token
	perUser  bool
	machine  bool
	failed   bool // an attempt to connect an account has failed
}

// situations returns every combination that can be.
func situations() (all []situation) {
	var codes []string
	for code := range problems {
		codes = append(codes, code)
	}
	for _, reason := range []record.Reason{record.ReasonExpired, record.ReasonRevoked, record.ReasonDamaged, record.ReasonRefused, record.ReasonLost} {
		codes = append(codes, string(reason))
	}
	codes = append(codes, "", "status_503", "of_another_version")
	slices.Sort(codes)
	states := []string{connection.StateConnected, connection.StateFailing, connection.StateReauthorize, connection.StateNone}
	for _, state := range states {
		for _, code := range codes {
			for bits := range 1 << 8 {
				is := func(bit int) bool { return bits>>bit&1 == 1 }
				s := situation{state, code, is(0), is(1), is(2), is(3), is(4), is(5), is(6), is(7)}
				if s.possible() {
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// possible reports whether package connection makes such a status.
func (s situation) possible() bool {
	switch {
	case s.machine && (s.perUser || s.unstored || s.lonely || s.failed || s.state == connection.StateReauthorize):
		return false // client_credentials have no person, and need no storage
	case s.state == connection.StateNone:
		return !s.valid && !s.endless && !s.unstored && !s.lonely && s.code == "" && s.needs == (!s.machine && !s.perUser)
	case s.state == connection.StateFailing:
		return !s.valid && !s.endless && !s.lonely && s.code != ""
	case s.state == connection.StateReauthorize:
		return s.needs && s.code != "" && (s.valid || !s.endless)
	case s.lonely && !s.valid: // without a refresh token, it has ended
		return false
	default: // connected
		return (s.valid || !s.endless && s.code == "") && (s.code != "" || !s.needs)
	}
}

func (s situation) status() *connection.Status {
	st := &connection.Status{
		State: s.state, LastError: s.code, Valid: s.valid, NeedsAction: s.needs, PerUser: s.perUser, Renewable: !s.lonely,
	}
	if s.code != "" {
		st.LastDescription, st.Remedy, st.LastErrorSince = "AADSTS7000222 <expired>", "ask for a new one", since(time.Hour)
	}
	if s.state != connection.StateNone {
		stored := !s.unstored
		st.RefreshedAt, st.ConnectedAt, st.ConnectedBy = since(time.Hour), since(50*time.Hour), "zoe"
		if !s.machine {
			st.Stored = &stored
		}
		switch {
		case s.valid && !s.endless:
			st.ExpiresAt = since(-time.Hour - time.Second)
		case !s.valid:
			st.ExpiresAt = since(time.Minute)
		}
	} else {
		st.Renewable = false
	}
	if s.state == connection.StateFailing {
		st.NextAttemptAt = since(-31 * time.Second)
	}
	if s.failed {
		st.FailedConnect = &connection.FailedConnect{At: *since(time.Minute), Error: "invalid_client", Description: "AADSTS7000215", Remedy: "replace client_secret"}
	}
	return st
}

// served reports whether a request would be served, as package connection decides that: with a
// valid token, or with one that the request itself fetches.
func (s situation) served() bool {
	return s.valid || s.state == connection.StateConnected || s.state == connection.StateNone && s.machine
}

var (
	cardState = regexp.MustCompile(`<details class="row is-(\w+)" id="account-x"`)
	cardWords = regexp.MustCompile(`<span class="state">([^<]*)</span>`)
	cardNote  = regexp.MustCompile(`(?s)<p class="note">(.*?)</p>`)
	cardGroup = regexp.MustCompile(`<h2 id="group-(\w+)">`)
)

func part(re *regexp.Regexp, page string) string {
	if m := re.FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

// TestStates holds what the page says of a connection against what is the case, in every state
// that there can be.
func TestStates(t *testing.T) {
	n := 0
	for _, s := range situations() {
		n++
		ds := &fake{name: "x", machine: s.machine, perUser: s.perUser, status: s.status()}
		page := newBed(t, ds).do(ask{user: "ann", account: "ann", path: "/connect/"}).is(200).Body.String()
		for _, wrong := range s.lies(part(cardState, page), part(cardWords, page), part(cardNote, page), part(cardGroup, page), page) {
			t.Errorf("%+v: %s", s, wrong)
		}
		if t.Failed() {
			return
		}
	}
	if n < 1000 {
		t.Errorf("only %d situations were looked at", n)
	}
}

// lies returns what is not true on a page.
func (s situation) lies(class, words, note, group, page string) (wrong []string) {
	rule := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...)+fmt.Sprintf(" (%s: %s. %s)", class, words, note))
		}
	}
	says := func(text string) bool { return strings.Contains(page, text) }
	healthy := s.status().Healthy()
	// What comes when the token has ended is another matter.
	now, _, _ := strings.Cut(note, "until the token ends")
	now, _, _ = strings.Cut(now, "until the API refuses")
	rule(!s.served() || !strings.Contains(now, "refused"), "served is said to be refused")
	rule(s.served() || strings.Contains(now, "refused"), "refused, and the page does not say so")
	rule(s.served() || !strings.Contains(note, "served"), "refused is said to be served")
	rule(words != "Connected" || s.state == connection.StateConnected && !s.unstored, "it is not connected, or not stored")
	rule(words != "Not used yet" || s.state == connection.StateNone && s.machine, "it was used")
	rule((class == classGood) == (words == "Connected"), "the colour does not fit the words")
	rule((class == classBad) == (!s.served() && s.state != connection.StateNone), "red is what is refused")
	rule(class != classGood || healthy, "green, and not healthy")
	rule((group == groupAttention) == !healthy, "the group %s, healthy: %t", group, healthy)
	rule(says("summary is-good") == (class == classGood), "the summary differs")
	rule(s.code == "" || says("Last problem") && says("ask for a new one") && says("AADSTS7000222 &lt;expired&gt;"), "the last problem is not told")
	rule(s.code != "" || !says("Last problem"), "there is no problem")
	rule(says("In 30 seconds") == (s.state == connection.StateFailing), "the next attempt")
	rule(s.machine || says("Not yet; it is in memory only") == s.unstored, "whether it is stored")
	rule(s.failed == (says("The last attempt to connect an account has failed") && says("replace client_secret") && says("AADSTS7000215")), "the failed attempt")
	rule(s.valid || !says("Ends in"), "the token has ended")
	rule(!says("renewed by itself") || s.state == connection.StateConnected && !s.lonely && !s.needs, "it is not renewed by itself")
	rule(says("by zoe") == (s.state != connection.StateNone), "who has connected the account")
	for _, fact := range []string{"api.example", "provider.example", "<code>orders.read</code>"} {
		rule(says(fact), "%s is not told", fact)
	}
	rule(!s.machine == says(`action="x/connect"`), "the button Connect")
	rule((s.state != connection.StateNone && !s.machine) == says(`<form action="x/disconnect">`), "the button Disconnect")
	return wrong
}

// TestCardOrder: what is refused comes first, and what is unused last, whatever the names are.
func TestCardOrder(t *testing.T) {
	stored := false
	connected := connection.StateConnected
	list := []*fake{
		{name: "a-good", status: &connection.Status{State: connected, Valid: true}},
		{name: "b-unused", machine: true},
		{name: "c-missing", status: &connection.Status{State: connection.StateNone, NeedsAction: true}},
		{name: "d-unstored", status: &connection.Status{State: connected, Valid: true, Stored: &stored}},
		{name: "e-unknown", readErr: record.ErrKeyMissing},
		{name: "f-ended", status: &connection.Status{State: connection.StateReauthorize, NeedsAction: true}},
		{name: "g-failing", status: &connection.Status{State: connection.StateFailing, LastError: "no_answer"}},
		{name: "h-own", perUser: true},
		{name: "i-good", status: &connection.Status{State: connected, Valid: true}},
	}
	order := func(query string) string {
		t.Helper()
		page := newBed(t, list...).do(ask{user: "ann", account: "ann", path: "/connect/" + query}).is(200).Body.String()
		var names []string
		for _, m := range regexp.MustCompile(`<h2 id="group-(\w+)">|<details class="row is-\w+" id="account-([^"]+)"`).FindAllStringSubmatch(page, -1) {
			names = append(names, cmp.Or(m[1], m[2]))
		}
		return strings.Join(names, " ")
	}
	for query, want := range map[string]string{
		"":                               "attention f-ended g-failing e-unknown d-unstored c-missing connected a-good i-good unused b-unused h-own",
		"?show=attention":                "attention f-ended g-failing e-unknown d-unstored c-missing",
		"?show=connected":                "connected a-good i-good",
		"?show=unused":                   "unused b-unused h-own",
		"?show=nonsense":                 "attention f-ended g-failing e-unknown d-unstored c-missing connected a-good i-good unused b-unused h-own",
		"?q=GOOD":                        "connected a-good i-good",
		"?q=provider.ex&show=unused":     "unused b-unused h-own",
		"?q=none":                        "",
		"?q=" + strings.Repeat("x", 101): "attention f-ended g-failing e-unknown d-unstored c-missing connected a-good i-good unused b-unused h-own",
	} {
		if got := order(query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}
