// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"time"
)

// confirmView is what the page shows that asks before an account is disconnected.
type confirmView struct {
	Name     string
	Title    string
	Button   string
	Whose    string
	Refused  string
	By       string
	Since    *moment
	Provider string
	Revokes  bool
	Key      bool // a key that a user has typed, of which no provider is told
	Back     string
}

// confirm asks whether an account is to be disconnected. The button of its page does it.
func (a action) confirm() error {
	v := a.visit
	ctx, cancel := context.WithTimeout(v.r.Context(), statusTimeout)
	defer cancel()
	p := page{visit: v, now: time.Now()}
	c := p.card(ctx, a.ds, permissionAct, a.key)
	if c.Disconnect == "" { // an old page, or somebody was faster
		return v.seeOther(card(v.route.home(), a.ds, ""))
	}
	facts := a.ds.Facts()
	return v.render(http.StatusOK, "confirm.html", c.kind.ask+c.Name+"?", confirmView{
		Name: c.Name, Title: c.kind.ask + c.Name + "?", Button: c.kind.remove, Whose: c.Whose, Refused: callersOf(a.ds).refused, By: c.Facts.By, Since: c.Since,
		Provider: facts.Provider, Revokes: facts.Revokes, Key: c.Key != nil, Back: card(v.route.home(), a.ds, ""),
	})
}
