// SPDX-License-Identifier: Apache-2.0

package connection

import "time"

// FailedConnect is an attempt to connect an account that has failed. It is kept in memory, by the
// node that has seen it, until an account is connected or the connection is forgotten.
type FailedConnect struct {
	At time.Time `json:"at"`

	// Error is an OAuth error code or a few fixed words, as Status.LastError.
	Error string `json:"error"`

	// Denied says that the provider's page has sent the person back without a code, so Error is
	// one of an authorization endpoint.
	Denied bool `json:"denied,omitempty"`

	// ClientGone says that the provider does not know the registered client any more, and that the
	// next attempt has it registered anew.
	ClientGone bool `json:"client_gone,omitempty"`

	// Description is the provider's text about Error, for operators.
	Description string `json:"error_description,omitempty"`

	// Remedy is what an operator can do; empty if that is not known.
	Remedy string `json:"remedy,omitempty"`
}

// NoteFailedConnect notes why an account could not be connected.
func NoteFailedConnect(s *Source, err error) {
	s.conn.noteFailedConnect(&FailedConnect{
		At: time.Now().UTC().Truncate(time.Second), Error: words(err), Description: describedBy(err), Remedy: remedyOf(err),
	})
}

// NoteDenied notes that a provider has sent a person back with an error. The code is one that is
// fit to be shown. clientGone says that the client is registered anew.
func NoteDenied(s *Source, code string, clientGone bool) {
	s.conn.noteFailedConnect(&FailedConnect{At: time.Now().UTC().Truncate(time.Second), Error: code, Denied: true, ClientGone: clientGone})
}

func (c *Connection) noteFailedConnect(f *FailedConnect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.troubled().connectFailed = f
}

// failedConnect returns the last failed attempt to connect an account, unless one was connected
// since.
func (c *Connection) failedConnect(connected *time.Time) *FailedConnect {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.trouble().connectFailed; f != nil && (connected == nil || !connected.After(f.At)) {
		return f
	}
	return nil
}
