// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// wantRedeemedOnce fails the test if a refresh token came twice or a grant was revoked for it,
// and returns how many came.
func wantRedeemedOnce(t testing.TB, p *provider.Provider) (redeemed int) {
	t.Helper()
	for digest, n := range p.Redemptions() {
		redeemed += n
		if n > 1 {
			t.Errorf("refresh token %s was redeemed %d times", digest, n)
		}
	}
	if p.Revoked() != 0 {
		t.Errorf("%d grants were revoked", p.Revoked())
	}
	return redeemed
}

// withAdmin is the global option of an admin endpoint.
func withAdmin(t testing.TB) (options, addr string) {
	t.Helper()
	addr = rig.Free(t)
	return "admin " + addr + "\n", addr
}

// status returns what the admin API says of a datasource's connection.
func status(t testing.TB, admin, datasource string) map[string]any {
	t.Helper()
	code, body, err := get(http.DefaultClient, "http://"+admin+"/authenticated_api/connections?datasource="+datasource)
	var list []map[string]any
	if err != nil || code != 200 || json.Unmarshal([]byte(body), &list) != nil || len(list) != 1 {
		t.Fatalf("the admin API answers %d %s, %v", code, body, err)
	}
	return list[0]
}

// TestRotation: more than twenty tokens of two seconds expire under load, with a provider that
// revokes a grant whose refresh token comes twice. No request fails, and no refresh token comes
// twice.
func TestRotation(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for tokens to expire")
	p := provider.New(t, 2*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	b, proc := newCodeProcess(t, p, "", "")
	proc.start(t)
	ann := b.browser("ann")
	ann.connect("shared")
	l := startLoad(t, b.addr+"/shared", 16, 20*time.Millisecond)
	rig.Wait(t, "twenty tokens", 60*time.Second, func() bool { return p.Answered.Load() > 20 })
	l.finish(t)
	t.Logf("%d redemptions", wantRedeemedOnce(t, p))
	// On a busy machine a token is under way for a good part of its life. A request that is
	// refused because of that is sent again.
	t.Logf("the API has refused %d requests", b.api.refused.Load())
}

// TestCodeReloads: fifty reloads under load, with tokens that expire.
func TestCodeReloads(t *testing.T) {
	rig.Long(t, "it reloads fifty times")
	p := provider.New(t, 3*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	p.Delay.Store(int64(100 * time.Millisecond))
	b, g := startBed(t, p, "")
	b.browser("ann").connect("shared")
	l := startLoad(t, b.addr+"/shared", 16, 20*time.Millisecond)
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		g.load(t, b.site())
	}
	l.finish(t)
	t.Logf("%d redemptions", wantRedeemedOnce(t, p))
}

// TestLostAnswer loses the answer with the next tokens on its way. A provider that accepts the old
// refresh token for a while is asked once more, and the connection lives. With a strict provider
// the connection is lost, and every answer says why.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		name := map[bool]string{false: "grace", true: "strict"}[strict]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := provider.New(t, 4*time.Second)
			p.SetRotation(provider.RotateGrace, time.Minute)
			if strict {
				p.SetRotation(provider.RotateStrict, 0)
			}
			options, admin := withAdmin(t)
			b, proc := newCodeProcess(t, p, "", options)
			proc.start(t)
			ann := b.browser("ann")
			ann.connect("shared")
			p.DropAnswer(1)
			waitFor(t, "the renewal and its repetition", func() bool {
				if p.Requests.Load() < 2 {
					ann.call("shared")
				}
				return p.Requests.Load() == 3 && p.Answered.Load() == 2
			})
			// The record is read once more before the grant is given up.
			time.Sleep(1500 * time.Millisecond)
			got := status(t, admin, "shared")
			if !strict {
				if got["state"] != "connected" || got["generation"] != 2.0 || got["last_error"] != "" {
					t.Errorf("the status is %v", got)
				}
				time.Sleep(2 * time.Second)
				ann.wantServed("shared")
				return
			}
			// The provider has revoked the access token too, so until it expires the API's own
			// refusal passes.
			waitFor(t, "the token to expire", func() bool { return ann.call("shared").status == 503 })
			ann.wantUnconnected("shared")
			// On a slow machine the refusal is told before it has ended the connection.
			waitFor(t, "the end of the connection", func() bool {
				got = status(t, admin, "shared")
				return got["state"] == "reauthorization_required" && got["last_error"] == "lost_in_crash"
			})
			if n := p.Requests.Load(); n > 6 {
				t.Errorf("%d token requests have come", n)
			}
			ann.connect("shared")
			ann.wantServed("shared")
			if got := status(t, admin, "shared"); got["state"] != "connected" || got["last_error"] != "" {
				t.Errorf("the status is %v", got)
			}
		})
	}
}

// TestWithdrawn has a provider that refuses the refresh token. Callers are served until the access
// token expires, and then told where to connect again, whatever the provider's words are.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	for code, body := range map[string]string{
		"invalid_grant": `{"error":"invalid_grant","error_description":"AADSTS70043: the cause"}`,
		// Dex answers so.
		"invalid_request": `{"error":"invalid_request","error_description":"AADSTS70043: the cause"}`,
		// Gitea answers so.
		"unauthorized_client": `{"error":"unauthorized_client","error_description":"AADSTS70043: the cause"}`,
		// HubSpot answers so.
		"status_400": `{"status":"BAD_REFRESH_TOKEN","message":"c4nary-of-the-provider"}`,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			// A renewal begins two seconds before expiry, which is enough on a slow machine.
			p := provider.New(t, 10*time.Second)
			p.SetRotation(provider.RotateStrict, 0)
			options, admin := withAdmin(t)
			b, proc := newCodeProcess(t, p, "", options)
			proc.start(t)
			ann := b.browser("ann")
			ann.connect("shared")
			for range 20 {
				p.FailNext(400, body)
			}
			l := startLoad(t, b.addr+"/shared", 4, 20*time.Millisecond)
			waitFor(t, "the refusal", func() bool { return p.Answered.Load() == 2 })
			time.Sleep(time.Second) // the record is read once more before the grant is given up
			l.finish(t)
			if got := status(t, admin, "shared"); got["state"] != "connected" || got["last_error"] != code {
				t.Errorf("the status is %v", got)
			}
			waitFor(t, "the token to expire", func() bool { return ann.call("shared").status != 200 })
			ann.wantUnconnected("shared")
			if n := p.Requests.Load(); n > 8 {
				t.Errorf("%d token requests have come", n)
			}
			if got := status(t, admin, "shared"); got["state"] != "reauthorization_required" || got["last_error"] != code {
				t.Errorf("the status is %v", got)
			}
			page := ann.send("GET", "/shared/x", "", "Sec-Fetch-Mode", "navigate").is(503)
			if !strings.Contains(page.body, `href="http://`+b.addr+`/connect/"`) || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("the page is %s", page.body)
			}
			if answer := ann.call("shared"); strings.Contains(page.body+answer.body, "AADSTS") {
				t.Errorf("a caller sees what the provider says: %s", answer.body)
			}
			p.FailNoMore()
			if code == "invalid_grant" {
				ann.connect("shared")
			} else {
				// The record is still there, and one success clears the error.
				ann.press("shared", "refresh").is(303)
			}
			ann.wantServed("shared")
			wantNoSecret(t, proc.log, "c4nary-of-the-provider")
			log, err := os.ReadFile(proc.log)
			if said := strings.Contains(string(log), `"error_description":"AADSTS70043: the cause"`); err != nil || said != strings.Contains(body, "AADSTS") {
				t.Errorf("the log has what the provider says: %t, %v", said, err)
			}
			wantRedeemedOnce(t, p)
		})
	}
}

// TestEnded tells a Caddy to end while a refresh is under way at a slow provider. Caddy stores the
// answer before it ends, and the next Caddy goes on with it.
func TestEnded(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for tokens to expire")
	p := provider.New(t, 4*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	// So nothing that takes longer is waited for.
	b, proc := newCodeProcess(t, p, "", "grace_period 10s")
	proc.start(t)
	ann := b.browser("ann")
	ann.connect("shared")
	ann.connect("own")
	p.Delay.Store(int64(1500 * time.Millisecond))
	for range 3 {
		before := p.Requests.Load()
		waitFor(t, "a renewal", func() bool {
			ann.call("shared")
			ann.call("own")
			return p.Requests.Load() > before
		})
		proc.End(syscall.SIGTERM)
		if p.Requests.Load() != p.Answered.Load() {
			t.Error("Caddy has ended before the answer")
		}
		proc.start(t)
		ann.wantServed("shared")
		ann.wantServed("own")
	}
	t.Logf("%d redemptions", wantRedeemedOnce(t, p))
}

// TestStorageFailsCode: the storage cannot be written when the new tokens come. They are used
// from memory, and stored when that is possible again; a restart goes on with them.
func TestStorageFailsCode(t *testing.T) {
	rig.Long(t, "it waits for tokens to expire")
	p := provider.New(t, 4*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	b, g := startBed(t, p, "")
	ann := b.browser("ann")
	ann.connect("shared")
	p.Delay.Store(int64(500 * time.Millisecond))
	p.SetLife(time.Minute)
	waitFor(t, "a renewal", func() bool { ann.wantServed("shared"); return p.Requests.Load() == 2 })
	// The folder is replaced by a file while the provider thinks: not even root can write below
	// that.
	folder := filepath.Join(g.storage, "authenticated_api")
	aside := folder + ".aside"
	if err := errors.Join(os.Rename(folder, aside), os.WriteFile(folder, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	rig.WantLogged(t, g.log, "a new token could not be stored")
	time.Sleep(time.Until(time.Now().Add(4 * time.Second))) // the old one has expired
	ann.wantServed("shared")
	p.WantRequests(t, 2)
	if err := errors.Join(os.Remove(folder), os.Rename(aside, folder)); err != nil {
		t.Fatal(err)
	}
	rig.WantLogged(t, g.log, "that could not be stored is stored now")
	g.restart(t, b.site())
	ann.wantServed("shared")
	p.WantRequests(t, 2)
	ann.press("shared", "refresh").is(303)
	wantRedeemedOnce(t, p)
}

// TestExpiresIn: the configured lifetime overrides the provider's.
func TestExpiresIn(t *testing.T) {
	p := provider.New(t, time.Hour)
	g := newGateway(t)
	options, admin := withAdmin(t)
	g.options = options
	b := newBed(t, g.addr, p)
	for lines, want := range map[string]time.Duration{"expires_in 1000s": 1000 * time.Second, "": time.Hour} {
		b.more = lines
		g.load(t, b.site())
		b.browser("ann").connect("shared")
		got := status(t, admin, "shared")
		at, err := time.Parse(time.RFC3339, got["expires_at"].(string))
		if life := time.Until(at); err != nil || life > want || life < want-10*time.Second {
			t.Errorf("with %q the status is %v", lines, got)
		}
	}
}
