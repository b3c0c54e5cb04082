// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Network is a network in memory, which works in virtual time too: Dial is at its one end, and the
// Network is the listener at the other end.
type Network struct {
	conns chan net.Conn
	ended chan struct{}

	mu   sync.Mutex
	cut  bool
	live map[net.Conn]bool
}

// NewNetwork returns a network that is up.
func NewNetwork() *Network {
	return &Network{conns: make(chan net.Conn), ended: make(chan struct{}), live: make(map[net.Conn]bool)}
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *Network) Close() error {
	close(n.ended)
	return nil
}

// Addr implements net.Listener.
func (*Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Dial opens a connection, whatever the address is.
func (n *Network) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	n.live[near] = true
	select {
	case n.conns <- far:
		return near, nil
	case <-n.ended:
		return nil, net.ErrClosed
	}
}

// Set takes the network down, with all connections that are open, or up again.
func (n *Network) Set(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = !up
	if !up {
		for conn := range n.live {
			_ = conn.Close()
		}
		clear(n.live)
	}
}

// Down reports whether the network is down.
func (n *Network) Down() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut
}
