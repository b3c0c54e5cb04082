// SPDX-License-Identifier: Apache-2.0

// Package peer has the rules for every server that a request is sent to, an API or a provider:
// nothing that it sends reaches a log, and it switches protocols only if the request has asked
// for that. The package knows neither of the two.
package peer

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Text returns the text of an error of net/http or of the HTTP/3 client without what the peer has
// sent, and whether anything was left out. The peer may send the request back, with the
// credential in it, and error routes and logs show the text.
//
// Go's clients quote what they have received, with the exceptions below. The rest of the text is
// their own.
func Text(err error) (text string, cut bool) {
	text = err.Error()
	end := len(text)
	before := func(part string, from int) {
		if i := strings.Index(text, part); part != "" && i >= 0 {
			end = min(end, i+from)
		}
	}
	before(`"`, 0)
	const line = "malformed MIME header" // textproto does not always quote it
	before(line, len(line))
	before(remoteMessage(err), 0)
	if end == len(text) {
		return text, false
	}
	return strings.TrimRight(text[:end], " :(") + " …", true
}

// remoteMessage returns the reason that a peer has given for closing a QUIC connection. The error
// has it without quotes.
func remoteMessage(err error) string {
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && e.Remote {
		return e.ErrorMessage
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok && e.Remote {
		return e.ErrorMessage
	}
	if e, ok := errors.AsType[*http3.Error](err); ok && e.Remote {
		return e.ErrorMessage
	}
	return ""
}

// Why an answer is none that anything can be done with.
var (
	// ErrSwitched says that an answer is 101 although the request has not asked for another
	// protocol.
	ErrSwitched = errors.New("the answer is 101 Switching Protocols, which the request has not asked for")

	// ErrStatus says that the status of an answer is below 100, of which net/http as a server
	// makes a panic (RFC 9110 §15).
	ErrStatus = errors.New("the answer has a status below 100, which does not exist")
)

// Unusable returns ErrSwitched or ErrStatus for such an answer. The body of an answer that
// switches to a protocol which nobody has asked for (RFC 9110 §7.8, §15.2.2) is the bare
// connection: it has no end, and net/http does not close it with the request's context.
func Unusable(req *http.Request, res *http.Response) error {
	switch {
	case res.StatusCode < 100:
		return ErrStatus
	case res.StatusCode != http.StatusSwitchingProtocols:
		return nil
	}
	if asked := req.Header.Get("Upgrade"); asked != "" && strings.EqualFold(asked, res.Header.Get("Upgrade")) {
		return nil
	}
	return ErrSwitched
}

// ProxyAnswer is an http.Transport's OnProxyConnectResponse. Without it the error for a refused
// tunnel is only the proxy's own reason phrase.
func ProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return errors.New("the proxy has refused a tunnel with status " + strconv.Itoa(res.StatusCode))
}
