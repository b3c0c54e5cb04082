// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// ticketView is what the page for the holder of a ticket shows: one datasource, and nothing else.
type ticketView struct {
	Datasource string
	Connection string
	Ticket     string
}

// checkTicket returns what a ticket is for, or why it is not valid.
func (v *visit) checkTicket(text string) (*oauth.Ticket, datasource, *message) {
	ring, err := v.h.ring()
	if err != nil {
		v.logger.Error("a ticket cannot be opened", zap.Error(err))
		return nil, nil, &messageCannotBegin
	}
	ticket, err := v.h.openTicket(ring, text)
	if err != nil {
		return nil, nil, messageOfTicket(err)
	}
	ds := find(v.datasources, ticket.Datasource)
	if ds == nil || !ds.Interactive() || ds.PerUser() != (ticket.Connection != "") {
		return nil, nil, &messageTicketBad
	}
	if err := ds.CheckTicket(v.r.Context(), ticket); err != nil {
		if !errors.Is(err, oauth.ErrTicketUsed) && !errors.Is(err, oauth.ErrTicketExpired) {
			v.logger.Error("a ticket cannot be checked", because(ds, err)...)
			return nil, nil, &messageCannotBegin // the link may still be good
		}
		return nil, nil, messageOfTicket(err)
	}
	return ticket, ds, nil
}

// messageOfTicket says what is wrong with a ticket.
func messageOfTicket(err error) *message {
	switch {
	case errors.Is(err, oauth.ErrTicketExpired):
		return &messageTicketExpired
	case errors.Is(err, oauth.ErrTicketUsed):
		return &messageTicketUsed
	default:
		return &messageTicketBad
	}
}

// ticketPage answers a browser that opens a link which the command line has made.
func (v *visit) ticketPage() error {
	if to, ok := v.address.withSlash(); ok {
		return v.seeOther(to)
	}
	tickets := v.r.URL.Query()["ticket"]
	if len(tickets) != 1 {
		return v.refuse(&messageTicketBad)
	}
	ticket, ds, wrong := v.checkTicket(tickets[0])
	if wrong != nil {
		return v.refuse(wrong)
	}
	// A ticket is in the URL. With same-origin, as on the other pages, a request for /favicon.ico
	// would carry it into a log.
	v.w.Header().Set("Referrer-Policy", "strict-origin")
	return v.render(http.StatusOK, "ticket.html", "Connect "+ds.Datasource(), ticketView{
		Datasource: ds.Datasource(),
		Connection: ticket.Connection,
		Ticket:     tickets[0],
	})
}

// connectByTicket answers a form that has a ticket in it. It returns false if the form has none.
func (v *visit) connectByTicket() (answered bool, err error) {
	if wrong := v.form(); wrong != nil {
		if v.user == "" {
			wrong = &messageNobody
		}
		return true, v.refuse(wrong)
	}
	tickets, ok := v.r.PostForm["ticket"]
	if !ok {
		return false, nil
	}
	if len(tickets) != 1 {
		return true, v.refuse(&messageTicketBad)
	}
	ticket, ds, wrong := v.checkTicket(tickets[0])
	switch {
	case wrong != nil:
		return true, v.refuse(wrong)
	case ds.Datasource() != v.route.name:
		return true, v.refuse(&messageTicketBad)
	case v.crossOrigin(ds):
		return true, v.refuse(&messageCrossOrigin)
	case v.elsewhere(ds):
		return true, v.refuse(&messageTicketElsewhere)
	}
	a := action{v, ds, ticket.Connection}
	flow, to, err := ds.BeginWithTicket(v.r.Context(), ticket)
	if err != nil {
		return true, a.cannotBegin(err)
	}
	return true, a.depart(flow, to)
}
