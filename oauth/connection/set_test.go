// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestBackoffEndsWithConfiguration: a refusal's back-off ends with the configuration: the new one
// may have repaired what was wrong. What is known goes when the last configuration has ended.
func TestBackoffEndsWithConfiguration(t *testing.T) {
	st, _ := newStore(t, new(oauthtest.Memory))
	logger, _ := oauthtest.NewLogger()
	calls := 0
	refuses := func(context.Context, func() []string, *record.Token) (*record.Token, error) {
		calls++
		return nil, &provider.Error{Host: "p", Status: http.StatusUnauthorized, Code: "invalid_client"}
	}
	issues := func(context.Context, func() []string, *record.Token) (*record.Token, error) {
		calls++
		return issue("t", time.Hour), nil
	}
	cfg := configOf(st, logger, Config{Grant: "client_credentials", Fetch: refuses})
	old := NewSet(cfg)
	for range 3 {
		if _, err := old.Shared().Credential(t.Context()); err == nil {
			t.Fatal("it has a credential")
		}
	}
	if calls != 1 {
		t.Errorf("%d token requests during the back-off", calls)
	}
	cfg.Fetch = issues
	fresh := NewSet(cfg)
	if c, err := fresh.Shared().Credential(t.Context()); err != nil || sent(c) != "t" {
		t.Errorf("%s, %v", sent(c), err)
	}
	old.Close()
	fresh.Close()
	pools.Range(func(key, _ any) bool {
		t.Errorf("a pool is left: %q", key)
		return true
	})
}
