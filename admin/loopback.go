// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// letterBox waits at a loopback address for what a provider answers (RFC 8252 §7.3).
type letterBox struct {
	listener net.Listener
	redirect *url.URL
}

// newLetterBox listens at a redirect URL. If that is "", it listens at a free port.
func newLetterBox(ctx context.Context, redirect string) (*letterBox, error) {
	address := "127.0.0.1:0"
	if redirect != "" {
		if err := oauth.CheckLoopback(redirect); err != nil {
			return nil, fmt.Errorf("--%w", err)
		}
		u, err := url.Parse(redirect)
		if err != nil {
			return nil, err // CheckLoopback has parsed it
		}
		address = net.JoinHostPort("127.0.0.1", u.Port())
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("waiting at %s: %w; is it the gateway's own port?", address, err)
	}
	if redirect == "" {
		redirect = "http://" + listener.Addr().String() + "/callback"
	}
	u, err := url.Parse(redirect)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &letterBox{listener, u}, nil
}

var errNoAnswer = errors.New("nobody has come back from the provider's page in time; begin again")

// wait waits until a browser brings the answer that has a state, and calls deliver with its query.
// It returns what deliver returns, when the browser has been told.
func (b *letterBox) wait(ctx context.Context, state string, deliver func(query string) error) error {
	outcome := make(chan error, 1)
	first := make(chan struct{}, 1)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !b.isAnswer(w, r, state) {
				return
			}
			select {
			case first <- struct{}{}:
			default: // a reload, or a scanner: the code is good once
				showLocal(w, http.StatusOK, "This was done already", "The command in the terminal says what came of it.")
				return
			}
			err := deliver(r.URL.RawQuery)
			if err != nil {
				showLocal(w, http.StatusBadGateway, "The account is not connected", "The command in the terminal says why.")
			} else {
				showLocal(w, http.StatusOK, "The account is connected", "This page can be closed.")
			}
			outcome <- err
		}),
	}
	go func() { _ = server.Serve(b.listener) }() // ends with Shutdown
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(end) // the browser is told first
	}()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
	}
	select {
	case first <- struct{}{}:
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errNoAnswer
		}
		return ctx.Err()
	default: // the code is on its way
		return <-outcome
	}
}

// isAnswer reports whether a request brings the answer to this attempt. Any page can send a
// browser here. What does not know the state is answered, and changes nothing; a name that was
// pointed at this machine (DNS rebinding) is not even that.
func (b *letterBox) isAnswer(w http.ResponseWriter, r *http.Request, state string) bool {
	switch {
	case r.Host != b.redirect.Host, r.URL.Path != b.redirect.Path:
		http.NotFound(w, r)
		return false
	case r.Method != http.MethodGet: // a HEAD of a scanner must not use up the code
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "it takes GET", http.StatusMethodNotAllowed)
		return false
	}
	got := oauth.ReadReply(r.URL.RawQuery).State
	if got == "" || subtle.ConstantTimeCompare([]byte(got), []byte(state)) != 1 {
		showLocal(w, http.StatusBadRequest, "This belongs to another attempt", "The command in the terminal goes on waiting. Use the address that it shows.")
		return false
	}
	return true
}

var localPage = template.Must(template.New("local").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title></head><body><h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`))

// showLocal shows a page. Nothing of the request is on it, and the address, which has a code in
// it, goes nowhere.
func showLocal(w http.ResponseWriter, status int, title, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_ = localPage.Execute(w, struct{ Title, Text string }{title, text})
}
