// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// pipe is a network in memory, which runs in virtual time.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (*pipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// world is an API with a login, and the nodes of a cluster in front of it, in virtual time.
type world struct {
	t       *testing.T
	net     *pipe
	storage *oauthtest.Memory
	ring    *seal.Ring
	logs    oauthtest.Logs

	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []*http.Request
	bodies []string
}

// inWorld runs a test. answer is what the login answers.
func inWorld(t *testing.T, answer http.HandlerFunc, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, net: &pipe{conns: make(chan net.Conn), done: make(chan struct{})}, storage: new(oauthtest.Memory),
			ring: seal.NewRing(oauthtest.NewKey(t)), answer: answer,
		}
		server := &http.Server{Handler: w, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
		go func() { _ = server.Serve(w.net) }()
		defer server.Close()
		test(t, w)
		_ = server.Close()
		time.Sleep(5 * time.Minute) // for all that is under way
	})
}

// ServeHTTP implements http.Handler.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.seen, w.bodies = append(w.seen, r), append(w.bodies, string(body))
	answer := w.answer
	w.mu.Unlock()
	answer(rw, r)
}

// answers changes what the login answers.
func (w *world) answers(answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// logins returns how many logins there were since the last call.
func (w *world) logins() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.seen)
	w.seen, w.bodies = nil, nil
	return n
}

// node returns a node with these options, and how to end it.
func (w *world) node(opts *Options) *Login {
	w.t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: w.t.Context()})
	w.t.Cleanup(cancel)
	l := &Login{Options: *opts}
	if err := l.Provision(ctx); err != nil {
		w.t.Fatal(err)
	}
	logger, logs := oauthtest.NewLogger()
	l.logger, w.logs = logger, logs
	if err := l.Bind(connection.Environment{
		Configuration: new(int), Datasource: "nas", API: "nas.example.com", Storage: w.storage, Dial: w.net.dial,
		Keys: func() (*seal.Ring, error) { return w.ring, nil },
	}); err != nil {
		w.t.Fatal(err)
	}
	// A node of its own shares the storage alone, not the pool of connections of the process.
	l.set = new(connection.Pool).NewSet(l.set.Config)
	w.t.Cleanup(l.client.CloseIdleConnections)
	return l
}

// carries returns what requests carry, or why there is nothing.
func carries(t *testing.T, l *Login) (header http.Header, query string, err error) {
	t.Helper()
	c, err := l.Credential(t.Context())
	if err != nil {
		return nil, "", err
	}
	header = make(http.Header)
	c.SetHeader(header)
	return header, c.SetQuery(""), nil
}

// wants fails the test unless requests carry a value in a field after so many logins since the
// last call.
func (w *world) wants(l *Login, field, value string, logins int) {
	w.t.Helper()
	header, _, err := carries(w.t, l)
	if got := w.logins(); err != nil || header.Get(field) != value || got != logins {
		w.t.Errorf("%s is %q after %d logins, %v; want %q after %d", field, header.Get(field), got, err, value, logins)
	}
}

// refused fails the test unless there is nothing to carry, and returns why.
func (w *world) refused(l *Login, logins int) *provider.Error {
	w.t.Helper()
	_, _, err := carries(w.t, l)
	e, ok := errors.AsType[*provider.Error](err)
	if got := w.logins(); !ok || got != logins {
		w.t.Fatalf("%v after %d logins, want %d", err, got, logins)
	}
	return e
}

// counting answers with a new session each time.
func counting(life int) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("X-CSRF", fmt.Sprintf("canary-csrf-%d", n))
		fmt.Fprintf(w, `{"sid":"canary-session-%d","ttl":%d}`, n, life)
	}
}
