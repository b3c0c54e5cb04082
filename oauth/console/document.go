// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// documentName is where the Client ID Metadata Document is, below the console's address.
const documentName = "client.json"

// document answers with what the gateway says of itself as a client. Authorization servers fetch
// it, so nobody has to sign in for it; there is no secret in it. Its address is the client's
// identifier, and those who fetch it compare the two byte by byte.
func (v *visit) document() error {
	var client *provider.ClientMetadata
	for _, ds := range v.datasources {
		one := ds.Document()
		if one == nil || !v.isConsole(ds) {
			continue
		}
		if client == nil {
			client = one
		}
		// It would bind the tokens of all of them (RFC 9449 §5.2).
		client.DPoP = client.DPoP && one.DPoP
	}
	if client == nil {
		return v.refuse(&messageNotFound)
	}
	text, err := json.Marshal(client)
	if err != nil {
		return v.refuse(&messageCannotBegin)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	v.w.WriteHeader(http.StatusOK)
	if v.r.Method != http.MethodHead {
		_, err = v.w.Write(text)
	}
	return err
}

// isConsole reports whether the request is for the console of a datasource, where several share a
// host.
func (v *visit) isConsole(ds datasource) bool {
	path := console(ds).Path + documentName
	return path == v.address.rewritten || strings.HasSuffix(path, v.address.sent)
}

// messageForgotten is for a provider that does not know the client any more that was registered.
var messageForgotten = message{
	Status: http.StatusBadRequest, Title: "The provider does not know the gateway any more",
	Text: "It seems to have forgotten the client as which the gateway was registered there. Nothing was connected.",
	Hint: "Press Connect again: the gateway then registers itself anew.",
}

// messageOfDiscovery returns what a person is told of a provider that cannot be discovered, or nil
// if err is another error.
func messageOfDiscovery(err error) *message {
	fail, ok := errors.AsType[*provider.DiscoveryError](err)
	if !ok {
		return nil
	}
	m := &message{
		Status: http.StatusBadGateway, Title: "The provider could not be discovered",
		Text: "The gateway looks up who the provider is, and what has come is not what was expected. Nothing was sent there.",
		Hint: "The operator of the gateway finds in its log what to do.",
	}
	if fail.Temporary() {
		m.Text = "The gateway looks up who the provider is, and has got no answer."
		m.Hint = "Try again in a minute."
	}
	return m
}

// forOperators adds to a message what an operator needs to know of a failed discovery.
func (v *visit) forOperators(m *message, err error) *message {
	fail, ok := errors.AsType[*provider.DiscoveryError](err)
	if !ok || !v.h.operators[v.user] {
		return m
	}
	shown := *m
	shown.Says, shown.Own = fail.Error(), true
	if fail.Option != "" {
		shown.Hint = "What you can do: " + fail.Option + "."
	}
	return &shown
}
