// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// statusTimeout is how long the page waits for the storage, for all datasources together.
	statusTimeout = 10 * time.Second

	// maxOpen is how many cards a page opens by itself.
	maxOpen = 3

	// maxShown is how many cards a page has at most. A catalogue can have thousands, which are
	// megabytes that nobody reads; the others are found by the search.
	maxShown = 200
)

// page is the list of connected accounts, for one user.
type page struct {
	visit *visit
	now   time.Time
	at    string // the datasource to whose card the browser comes back, "" for none
	did   string // what was done there, one of the words of notices
}

// pageView is what the page shows.
type pageView struct {
	Groups    []groupView
	Summary   summaryView
	Filter    *filterView // nil where there is little to choose from
	Operators string      // who may press buttons, for a user who may not
	Back      string      // the path that the person has come from, or ""
	Any       bool        // there is something to show, if no filter hides it
	More      int         // how many cards there are besides those that are shown
}

// groupView is a part of the page with a heading.
type groupView struct {
	Key   string // the word in the address that shows this group alone
	Name  string
	Cards []*cardView
}

// moment is a point in time.
type moment struct {
	At   string // for programs
	Text string // for people, in UTC: without JavaScript nobody knows their time zone
	Ago  string
}

func momentOf(at *time.Time, now time.Time) *moment {
	if at == nil {
		return nil
	}
	return &moment{
		At:   at.UTC().Format(time.RFC3339),
		Text: at.UTC().Format("2 January 2006, 15:04 UTC"),
		Ago:  ago(*at, now),
	}
}

// ago says how long ago a time is, or how far ahead.
func ago(at, now time.Time) string {
	if d := now.Sub(at); d > -time.Second && d < 5*time.Second {
		return "just now"
	}
	return humanize.RelTime(at, now, "ago", "from now")
}

// page shows the datasources that the user may know of.
func (v *visit) page() error {
	if to, lacking := v.address.withSlash(); lacking {
		return v.seeOther(to)
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), statusTimeout)
	defer cancel()
	query := v.r.URL.Query()
	p := page{visit: v, now: time.Now(), at: query.Get("at"), did: query.Get("did")}
	return v.render(http.StatusOK, "page.html", "Connected accounts", p.view(ctx, choiceOf(query)))
}

func (p page) view(ctx context.Context, chosen choice) pageView {
	v := p.visit
	content := pageView{Operators: p.whoOperates(), Back: v.cameFrom()}
	var cards []*cardView
	for _, ds := range v.datasources {
		if may, key := v.permission(ds); may != permissionNone {
			c := p.card(ctx, ds, may, key)
			if c.Back = content.Back; c.Done != "" && p.did == didConnect {
				c.Back = v.backFrom(c.Name)
			}
			cards = append(cards, c)
		}
	}
	slices.SortStableFunc(cards, func(a, b *cardView) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.Name, b.Name))
	})
	content.Any = len(cards) > 0
	content.Summary = summaryOf(cards)
	content.Filter = filterOf(cards, chosen)
	found := chosen.of(cards)
	shown := p.first(found)
	content.More = len(found) - len(shown)
	content.Groups = groupsOf(shown)
	p.open(content.Groups)
	return content
}

// first returns the cards that fit on the page, and the one to which the browser comes back.
func (p page) first(cards []*cardView) []*cardView {
	if len(cards) <= maxShown {
		return cards
	}
	shown := slices.Clone(cards[:maxShown])
	if i := slices.IndexFunc(cards, func(c *cardView) bool { return c.Name == p.at }); i >= maxShown {
		shown = append(shown, cards[i])
	}
	return shown
}

// groupsOf returns the groups that cards, which are in their order, belong to.
func groupsOf(cards []*cardView) (groups []groupView) {
	for _, c := range cards {
		if last := len(groups) - 1; last < 0 || groups[last].Key != c.group {
			groups = append(groups, groupView{Key: c.group, Name: groupNames[c.group]})
		}
		last := &groups[len(groups)-1]
		last.Cards = append(last.Cards, c)
	}
	return groups
}

// open opens cards: all if they are few, those that need attention if these are few, and the card
// to which the browser comes back.
func (p page) open(groups []groupView) {
	total := 0
	for _, group := range groups {
		total += len(group.Cards)
	}
	for _, group := range groups {
		few := group.Key == groupAttention && len(group.Cards) <= maxOpen && p.at == ""
		for _, c := range group.Cards {
			c.Open = few || total <= maxOpen || c.Name == p.at
		}
	}
}

// whoOperates tells a user why there are no buttons beside an account that all callers share. It
// returns "" if there is no such account.
func (p page) whoOperates() string {
	v := p.visit
	if !slices.ContainsFunc(v.datasources, func(ds datasource) bool {
		may, _ := v.permission(ds)
		return may == permissionLook
	}) {
		return ""
	}
	if len(v.h.operators) == 0 {
		return "An account that all callers share is connected by operators. They are named in the configuration, and it names none; you are " + v.user + "."
	}
	said := "An account that all callers share is connected by operators. They are named in the configuration; you are " + v.user + "."
	for operator := range v.h.operators {
		if strings.EqualFold(strings.TrimSpace(operator), strings.TrimSpace(v.user)) {
			v.logger.Warn("a user is no operator, whose name differs from an operator's in capital letters or blanks only; correct operators, " +
				"which are compared byte by byte")
			return said + " It has your name with other capital letters, or with blanks."
		}
	}
	return said
}
