// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// people may sign in at the gateway. A password is the user's name. The hashes have the lowest
// cost, because a higher cost would slow down each request.
const people = `basic_auth {
ann $2a$04$tT7nb41dIQX.FTQ3YAxBYuE2MgQSbgJL7OO5t4b4AKy.j4eGaIQkW
bob $2a$04$VcJ8Hmyvd3Db533IohTjp.D4MdrGT36g2VhqiLThAEBYT4UDe4Ize
eve $2a$04$vUOm8oegzw2xgiTRloeNk.ie0KVatxGemzd15oINdoNLSSA4tPZle
}
`

// crowd returns people with n more users, u0 and so on, whose password is ann's.
func crowd(n int) string {
	_, hash, _ := strings.Cut(people, "ann ")
	hash, _, _ = strings.Cut(hash, "\n")
	var users strings.Builder
	for i := range n {
		fmt.Fprintf(&users, "u%d %s\n", i, hash)
	}
	return strings.TrimSuffix(people, "}\n") + users.String() + "}\n"
}

// bed is a gateway with the grant authorization_code, on /shared for all callers and on /own for
// each user, the console on /connect for people and on /open for anybody, the provider and the
// API.
type bed struct {
	t         testing.TB
	p         *provider.Provider
	api       *api
	addr      string
	operators string // default: ann
	more      string // lines of both oauth2 blocks
	site      func() string
}

// newBed makes a bed for a gateway at an address. The caller runs the gateway.
func newBed(t testing.TB, addr string, p *provider.Provider) *bed {
	t.Helper()
	b := &bed{t: t, p: p, api: newAPI(t, p), addr: addr, operators: "ann"}
	p.Register(provider.ClientID, provider.ClientSecret, b.redirect())
	b.site = b.caddyfile
	return b
}

// startBed runs one in this process.
func startBed(t testing.TB, p *provider.Provider, more string) (*bed, *gateway) {
	t.Helper()
	g := newGateway(t)
	b := newBed(t, g.addr, p)
	b.more = more
	g.load(t, b.site())
	return b, g
}

func (b *bed) redirect() string { return "http://" + b.addr + "/connect/callback" }

// method is the option auth.
func (b *bed) method(more string) string {
	secret := "client_secret {env.CLIENT_SECRET}\n"
	if strings.Contains(b.more, "client_auth private_key_jwt") {
		secret = ""
	}
	return fmt.Sprintf("auth oauth2 authorization_code {\nauthorization_url %s\ntoken_url %s\nredirect_url %s\nclient_id gateway\n"+
		secret+"scopes read offline_access\n%s\n%s\n}", b.p.AuthorizationURL(), b.p.TokenURL(), b.redirect(), b.more, more)
}

func (b *bed) caddyfile() string {
	operators := ""
	if b.operators != "" {
		operators = "operators " + b.operators
	}
	return fmt.Sprintf("log\n"+
		"handle_path /connect/* {\n%[1]sauthenticated_api_console {\n%[2]s\n}\n}\n"+
		"handle_path /open/* {\nauthenticated_api_console {\n%[2]s\n}\n}\n"+
		"handle_path /own/* {\n%[1]sauthenticated_api %[3]s {\nname own\n%[4]s\n}\n}\n"+
		"handle_path /shared/* {\nauthenticated_api %[3]s {\nname shared\n%[5]s\n}\n}\n",
		people, operators, b.api.URL, b.method("connection {http.auth.user.id}"), b.method(""))
}

// loadAnyHost loads the site of a bed for requests to any host, as a gateway has it that trusts a
// proxy in front.
func (g *gateway) loadAnyHost(t testing.TB, b *bed) {
	t.Helper()
	_, port, _ := strings.Cut(g.addr, ":")
	if err := rig.Load(strings.Replace(g.config(b.site()), "\nhttp://"+g.addr+" {", "\nhttp://:"+port+" {\nbind 127.0.0.1", 1)); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
}

// newCodeProcess makes a bed with a Caddy in a process of its own, which does not run yet. storage
// may be another bed's.
func newCodeProcess(t *testing.T, p *provider.Provider, storage, options string) (*bed, *process) {
	t.Helper()
	if storage == "" {
		storage = rig.StorageDir(t)
	}
	addr := rig.Free(t)
	dir := tempDir(t)
	proc := &process{storage: storage, log: filepath.Join(dir, "caddy.log")}
	proc.Addr, proc.Dir = addr, dir
	b := newBed(t, addr, p)
	t.Cleanup(func() { proc.End(syscall.SIGKILL) })
	return b, proc.configured(t, b, options)
}

// configured gives a process the configuration of a bed.
func (p *process) configured(t *testing.T, b *bed, options string) *process {
	t.Helper()
	g := &gateway{addr: p.Addr, storage: p.storage, log: p.log, options: options}
	p.config = g.config(b.site())
	return p
}

// withKey is the global option with a new key.
func withKey() string { return "authenticated_api {\nkey " + seal.NewKey() + "\n}" }
