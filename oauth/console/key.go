// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// keyed turns a [keys.Method] into a datasource. Nothing of it goes to a provider, so there is no
// flow, no ticket and no callback: a user types a key into a form on the page.
type keyed struct{ *keys.Method }

// errNoFlow is about what only an account at a provider has.
var errNoFlow = errors.New("users type their keys; there is no account to connect")

func (keyed) Interactive() bool                                { return true }
func (keyed) Connectable() bool                                { return false }
func (keyed) PerCaller() bool                                  { return false }
func (keyed) Redirect() string                                 { return "" }
func (keyed) IssuedBy() string                                 { return "" }
func (keyed) Describe(string, string, ...string) string        { return "" }
func (keyed) Denied(*oauth.Flow, string) bool                  { return false }
func (keyed) Document() *provider.ClientMetadata               { return nil }
func (k keyed) Facts() oauth.Facts                             { return oauth.Facts{API: k.API()} }
func (k keyed) Healthy(ctx context.Context) bool               { return k.Connections().Healthy(ctx) }
func (keyed) Renew(context.Context, string) error              { return connection.ErrNotRenewable }
func (keyed) CheckTicket(context.Context, *oauth.Ticket) error { return errNoFlow }

func (keyed) Begin(context.Context, string, string) (*oauth.Flow, string, error) {
	return nil, "", errNoFlow
}

func (keyed) BeginWithTicket(context.Context, *oauth.Ticket) (*oauth.Flow, string, error) {
	return nil, "", errNoFlow
}

func (keyed) PublicKeys() ([]jose.JSONWebKey, error) { return nil, nil }

func (keyed) Finish(context.Context, *oauth.Flow, string) error { return errNoFlow }

// Status implements datasource.
func (k keyed) Status(ctx context.Context, name string) (*connection.Status, error) {
	return k.Connections().Source(name).Status(ctx)
}

// Disconnect implements datasource.
func (k keyed) Disconnect(ctx context.Context, name string) error {
	return k.Connections().Source(name).Disconnect(ctx)
}

// keyView is the form in which a user types a key.
type keyView struct {
	User   bool // a user name is typed, too
	Again  bool // there is a key, which this one replaces
	Button string
}

// keyForm returns the form of a datasource, nil if it has none.
func keyForm(ds datasource, status *connection.Status) *keyView {
	k, ok := ds.(keyed)
	if !ok {
		return nil
	}
	form := &keyView{User: k.TypesUser(), Button: "Save the key"}
	if status != nil && status.State != connection.StateNone {
		form.Again, form.Button = true, "Replace the key"
	}
	return form
}

var (
	messageKeyRefused = message{
		Status: http.StatusUnprocessableEntity, Title: "The API does not take this key",
		Text: "It was asked with the key, and has refused it. Nothing was saved, and nothing was changed.",
		Hint: "Copy the key again, whole and without blanks, and look whether it has expired.",
	}
	messageKeyUnchecked = message{
		Status: http.StatusBadGateway, Title: "The key could not be checked",
		Text: "The API did not say whether it takes the key. Nothing was saved, and nothing was changed.",
		Hint: "Try again in a while.",
	}
	messageKeyNotSaved = message{
		Status: http.StatusServiceUnavailable, Title: "The key could not be saved",
		Text: "The gateway's storage is in the way. Its log says what.",
		Hint: "Try again in a while.",
	}
)

// saveKey keeps the key that a user has typed. It is never shown again, and in no log.
func (a action) saveKey() error {
	v := a.visit
	k, ok := a.ds.(keyed)
	if !ok {
		return v.refuse(&messageNotFound)
	}
	if bad := v.form(); bad != nil {
		return v.refuse(bad)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), actionTimeout)
	defer cancel()
	err := k.Save(ctx, a.key, v.user, v.r.PostForm.Get("username"), v.r.PostForm.Get("key"))
	if invalid, is := errors.AsType[*keys.ErrInvalid](err); is {
		return v.show(&message{
			Status: http.StatusUnprocessableEntity, Title: "This cannot be sent as a key",
			Text: "Nothing was saved: " + invalid.Error() + ".", Hint: "Copy the key again, whole and without blanks.",
		})
	}
	switch {
	case errors.Is(err, keys.ErrRefused):
		v.logger.Info("the API does not take the key that a user has typed", zap.String("datasource", k.Datasource()))
		return v.show(&messageKeyRefused)
	case errors.Is(err, connection.ErrOvertaken):
		return v.seeOther(card(v.route.home(), a.ds, ""))
	case err != nil && keys.IsUnchecked(err):
		v.logger.Warn("a key could not be verified", zap.String("datasource", k.Datasource()), zap.Error(err))
		return v.show(&messageKeyUnchecked)
	case err != nil:
		v.logger.Error("a key could not be saved", zap.String("datasource", k.Datasource()), zap.Error(err))
		return v.show(&messageKeyNotSaved)
	}
	v.logger.Info("a user has saved a key", zap.String("datasource", k.Datasource()))
	return v.seeOther(card(v.route.home(), a.ds, didConnect))
}

// Interface guards
var _ datasource = keyed{}
