// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// Environment is what an auth method with connections works in.
type Environment struct {
	// Configuration identifies the configuration of Caddy: all methods of one configuration have
	// the same value, and the methods of the next have another. A datasource may stand in
	// several routes, each with a method: what has failed with one method would fail with
	// another method of the same configuration too.
	Configuration any

	// Datasource is the name of the datasource.
	Datasource string

	// API is the host of the API, with its port if that is written out. It is empty if the proxy
	// behind the handler knows where the API is.
	API string

	// Storage is where records are kept.
	Storage certmagic.Storage

	// Keys returns the key ring, and makes a key if there is none.
	Keys func() (*seal.Ring, error)

	// BaseURL is that of the API, "" if only the proxy behind the handler knows it.
	BaseURL string

	// Dial connects to the provider. DialPublic does too, and never to a private address. Denied
	// reports whether an error says that an address may not be dialled.
	Dial, DialPublic func(ctx context.Context, network, address string) (net.Conn, error)
	Denied           func(error) bool

	// CacheSize bounds the connections that stay in memory; 0 stands for
	// DefaultCacheSize.
	CacheSize int

	// KeepAlive is how long a refresh token may be idle; 0 for no limit.
	KeepAlive time.Duration

	// SweepAfter is how long the record of a dead connection stays; 0 for no limit.
	SweepAfter time.Duration

	// EndBy returns the time by which everything must have ended. It is called when the
	// configuration has ended. It is nil if nobody knows that time.
	EndBy func() time.Time

	// Observer is told of token requests, and of what becomes of connections. It may be nil.
	Observer Observer

	// LastRefusal returns the last answer by which the API has refused the credential, nil if there
	// is none. It may be nil.
	LastRefusal func() *Refusal

	// Spool is a folder of this machine for tokens that could not be stored before the process
	// ended; "" for none.
	Spool string
}
