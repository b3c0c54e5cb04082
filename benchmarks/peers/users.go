// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// zipf is the exponent by which users ask: a few ask often, most ask seldom.
const zipf = 1.1

// accounts returns a block of basic_auth with all users. They share one password, so that what
// basic_auth itself costs is one hash.
func accounts(n int) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("basic_auth {\n")
	for i := range n {
		fmt.Fprintf(&b, "%s %s\n", userName(i), hash)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

func userName(i int) string { return fmt.Sprintf("user%06d", i) }

// asUsers returns a request of each user, and requests of users by turns of chance, the same for
// each target: each connection has a source of its own.
func asUsers(n int, path string) (requests [][]byte, next func(i int) []byte) {
	requests = make([][]byte, n)
	for i := range requests {
		requests[i] = get(path, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(userName(i)+":password")))
	}
	var mu sync.Mutex
	sources := map[int]*rand.Zipf{}
	return requests, func(i int) []byte {
		mu.Lock()
		source := sources[i]
		if source == nil {
			source = rand.NewZipf(rand.New(rand.NewPCG(uint64(i), 1)), zipf, 1, uint64(n-1)) //nolint:gosec // G404: no secret
			sources[i] = source
		}
		mu.Unlock()
		return requests[source.Uint64()]
	}
}

// usersOfCaddy is what serves people without accounts of their own at the API.
func usersOfCaddy(ctx context.Context, e *environment) (*running, error) {
	block, err := accounts(e.users)
	if err != nil {
		return nil, err
	}
	block += "reverse_proxy " + e.upstream + " {\nheader_up Authorization \"Bearer " + token + "\"\nheader_up X-User {http.auth.user.id}\n}"
	p, addr, vars, err := startCaddy(ctx, e, "Caddy", block)
	each, next := asUsers(e.users, "/user/items")
	return &running{p, addr, vars, next, each}, err
}

// usersOfOurs is an API at which each user has an account, that each of them has connected. The
// console is a site of its own: routes beside the API's are no part of what a request costs.
func usersOfOurs(way string) func(context.Context, *environment) (*running, error) {
	return func(ctx context.Context, e *environment) (*running, error) {
		block, err := accounts(e.users)
		if err != nil {
			return nil, err
		}
		addr, err := free(ctx)
		if err != nil {
			return nil, err
		}
		console, err := free(ctx)
		if err != nil {
			return nil, err
		}
		block += fmt.Sprintf(`authenticated_api http://%s {
	%sname users
	header X-User {http.auth.user.id}
	auth oauth2 authorization_code {
		authorization_url http://%s/authorize
		token_url http://%s/token/86400
		redirect_url http://%s/connect/callback
		client_id %s
		client_secret "%s"
		connection {http.auth.user.id}
	}
}
}
http://%s {
bind 127.0.0.1
%s
handle_path /connect/* {
	authenticated_api_console
}
`, e.upstream, way, e.upstream, e.upstream, console, clientID, clientSecret, console, block)
		p, vars, err := startCaddyAt(ctx, e, "Caddy", addr, block)
		if err != nil {
			return nil, err
		}
		if err := connectAll(ctx, console, e.users); err != nil {
			p.stop()
			return nil, err
		}
		each, next := asUsers(e.users, "/users/items")
		return &running{p, addr, vars, next, each}, nil
	}
}

// connectAll has each user connect an account, as a browser does.
func connectAll(ctx context.Context, addr string, users int) error {
	next := make(chan int)
	failed := make(chan error, 1)
	var group sync.WaitGroup
	for range 64 { // each consent waits for its claim to settle
		group.Go(func() {
			for i := range next {
				if err := connect(ctx, addr, userName(i)); err != nil {
					select {
					case failed <- fmt.Errorf("connecting %s: %w", userName(i), err):
					default:
					}
				}
			}
		})
	}
	var err error
feed:
	for i := range users {
		select {
		case next <- i:
		case err = <-failed:
			break feed
		}
	}
	close(next)
	group.Wait()
	return err
}

// connect connects the account of one user: Connect, consent, callback.
func connect(ctx context.Context, addr, user string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	c := &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	method, target := http.MethodPost, "http://"+addr+"/connect/users/connect"
	for step := range 3 {
		req, err := http.NewRequestWithContext(ctx, method, target, nil)
		if err != nil {
			return err
		}
		if step != 1 { // the provider learns no password
			req.SetBasicAuth(user, "password")
		}
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		location := res.Header.Get("Location")
		if location == "" {
			return fmt.Errorf("step %d: %d %s", step, res.StatusCode, text)
		}
		next, err := url.Parse(location)
		if err != nil {
			return err
		}
		target, method = req.URL.ResolveReference(next).String(), http.MethodGet
		if step == 0 {
			target += "&login_hint=" + user
		}
	}
	if strings.Contains(target, "error") {
		return errors.New("the callback leads to " + target)
	}
	return nil
}
