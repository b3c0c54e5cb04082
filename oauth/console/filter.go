// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The groups of cards, in the order of the page. The words are in addresses.
const (
	groupAttention = "attention"
	groupConnected = "connected"
	groupUnused    = "unused"
)

var groupNames = map[string]string{
	groupAttention: "Needs attention",
	groupConnected: "Connected",
	groupUnused:    "Not in use",
}

const (
	// filterFrom is how many cards a page has at least that can be filtered, and searchFrom how
	// many it has that can be searched.
	filterFrom = 4
	searchFrom = 9

	// maxSearch is the longest text that is searched for.
	maxSearch = 100
)

// choice is which cards a person wants to see.
type choice struct {
	group string // "" for all
	text  string // what stands in the name or in a host; "" for all
}

// choiceOf returns the choice in the query of an address. What it does not know counts as all.
func choiceOf(query url.Values) choice {
	c := choice{group: query.Get("show"), text: strings.TrimSpace(query.Get("q"))}
	if groupNames[c.group] == "" {
		c.group = ""
	}
	if len(c.text) > maxSearch {
		c.text = ""
	}
	return c
}

// of returns the cards that are to be seen.
func (c choice) of(cards []*cardView) []*cardView {
	return slices.DeleteFunc(slices.Clone(cards), func(card *cardView) bool {
		return c.group != "" && card.group != c.group || !card.has(c.text)
	})
}

// address returns the address of a choice, relative to the page's.
func (c choice) address() string {
	query := make(url.Values)
	if c.group != "" {
		query.Set("show", c.group)
	}
	if c.text != "" {
		query.Set("q", c.text)
	}
	return "./?" + query.Encode()
}

// filterView is what the page shows for choosing cards.
type filterView struct {
	Links  []filterLink
	Search bool
	Group  string // the chosen one, for the form
	Text   string
}

// filterLink leads to the page with one group.
type filterLink struct {
	Name    string
	Address string
	Count   int
	Chosen  bool
}

// filterOf returns what the page shows for choosing among cards. It is nil if there are few, and
// nothing is chosen.
func filterOf(cards []*cardView, chosen choice) *filterView {
	if len(cards) < filterFrom && chosen == (choice{}) {
		return nil
	}
	f := &filterView{Search: len(cards) >= searchFrom || chosen.text != "", Group: chosen.group, Text: chosen.text}
	for _, group := range []string{"", groupAttention, groupConnected, groupUnused} {
		link := choice{group, chosen.text}
		count := len(link.of(cards))
		if count == 0 && group != "" && group != chosen.group {
			continue
		}
		name := "All"
		if group != "" {
			name = groupNames[group]
		}
		f.Links = append(f.Links, filterLink{name, link.address(), count, group == chosen.group})
	}
	return f
}

// summaryView says how all cards are, whichever are to be seen.
type summaryView struct {
	Class string // in the style sheet
	Text  string
}

// summaryOf says in a sentence how the cards are.
func summaryOf(cards []*cardView) summaryView {
	var attention, refused, connected int
	class := classAgain
	for _, c := range cards {
		switch c.group {
		case groupAttention:
			attention++
		case groupConnected:
			connected++
		}
		if c.rank == rankRefused || c.rank == rankMissing {
			refused++
		}
		if c.State == classBad {
			class = classBad
		}
	}
	unused := len(cards) - attention - connected
	switch {
	case attention == 0 && connected == 0:
		return summaryView{classNone, "Nothing is in use yet."}
	case attention == 0 && unused == 0:
		return summaryView{classGood, fmt.Sprintf("All is well: %d connected.", connected)}
	case attention == 0:
		return summaryView{classGood, fmt.Sprintf("All is well: %d connected, %d not in use.", connected, unused)}
	}
	s := summaryView{class, fmt.Sprintf("%d of %d need attention", attention, len(cards))}
	if attention == 1 {
		s.Text = fmt.Sprintf("1 of %d needs attention", len(cards))
	}
	if refused > 0 {
		s.Text += fmt.Sprintf("; callers are refused by %d", refused)
	}
	s.Text += "."
	return s
}
