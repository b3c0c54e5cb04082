// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	authenticatedapi "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// BenchmarkUsers sends requests of 10,000 users, of whom a few ask often, behind basic_auth:
// through this module, where each has an account of their own, and through Caddy's reverse_proxy
// with one token for all, in turns. It reports the ratio of their times.
func BenchmarkUsers(b *testing.B) {
	const users = 10_000
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		b.Fatal(err)
	}
	accounts := "basic_auth {\n"
	for i := range users {
		accounts += fmt.Sprintf("user%d %s\n", i, hash)
	}
	accounts += "}\n"
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a benchmark
	if err != nil {
		b.Fatal(err)
	}
	api := &rig.API{Answer: func(string) string { return rig.OK("ok") }}
	go api.Serve(ln)
	b.Cleanup(func() { ln.Close() })
	peer := rig.Free(b)
	ours := rig.Start(b, "{\nadmin off\npersist_config off\nauto_https off\ndefault_bind 127.0.0.1\nstorage file_system "+rig.StorageDir(b)+"\n}\nhttp://GATEWAY {\n"+accounts+
		"authenticated_api http://"+ln.Addr().String()+" {\nauth oauth2 authorization_code {\nauthorization_url https://provider.test/authorize\n"+
		"token_url https://provider.test/token\nredirect_url http://localhost/callback\nclient_id id\nclient_secret secret\n"+
		"connection {http.auth.user.id}\n}\n}\n}\n"+
		"http://"+peer+" {\n"+accounts+"reverse_proxy http://"+ln.Addr().String()+" {\nheader_up Authorization \"Bearer token\"\n}\n}")
	connectUsers(b, users)
	a, p := dial(b, ours), dial(b, peer)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, users-1) //nolint:gosec // G404: no secret
	turn := func(c *connection, user string) time.Duration {
		before := c.request
		c.request = strings.Replace(before, "\r\n\r\n", "\r\nAuthorization: Basic "+user+"\r\n\r\n", 1)
		defer func() { c.request = before }()
		return c.round(b, 1)
	}
	var timeA, timeP time.Duration
	for i := range b.N + 100 {
		user := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user%d:password", zipf.Uint64()))
		if i == 100 {
			b.ResetTimer()
			timeA, timeP = 0, 0
		}
		timeA += turn(a, user)
		timeP += turn(p, user)
		api.Requests()
	}
	b.ReportMetric(float64(timeA)/float64(timeP), "x_header_up")
	b.ReportMetric(float64(timeA.Nanoseconds())/float64(b.N), "ns/op")
}

// connectUsers stores an account of each user.
func connectUsers(b *testing.B, users int) {
	module, err := caddy.ActiveContext().App("authenticated_api")
	if err != nil {
		b.Fatal(err)
	}
	method := module.(*authenticatedapi.App).OAuth()[0]
	var group sync.WaitGroup
	room := make(chan struct{}, 500)
	for i := range users {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			token := record.New(record.Issued{Access: fmt.Sprint("token", i), Lifetime: time.Hour, Received: time.Now()}, record.Term{}, nil)
			if err := method.Source(fmt.Sprint("user", i)).Install(b.Context(), token); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
}
