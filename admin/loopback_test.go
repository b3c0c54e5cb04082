// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
)

// TestLetterBoxEnds: a command whose user does not come back ends, and says why.
func TestLetterBoxEnds(t *testing.T) {
	for _, test := range []struct {
		limit time.Duration
		want  error
	}{{time.Millisecond, errNoAnswer}, {0, context.Canceled}} {
		ctx, cancel := context.WithCancel(t.Context())
		if test.limit > 0 {
			ctx, cancel = context.WithTimeout(ctx, test.limit)
		}
		box, err := newLetterBox(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if test.limit == 0 {
			cancel()
		}
		err = box.wait(ctx, "state", func(string) error { return errors.New("delivered") })
		if !errors.Is(err, test.want) {
			t.Errorf("%v, want %v", err, test.want)
		}
		cancel()
	}
}

// TestCheckReplyLate: an answer that comes too late is not redeemed.
func TestCheckReplyLate(t *testing.T) {
	method, reply := new(oauth.Method), oauth.Reply{State: "s", Code: "c"}
	for age, status := range map[time.Duration]int{
		0: 0, connection.FlowLifetime - time.Second: 0, connection.FlowLifetime: http.StatusConflict, -time.Hour: http.StatusConflict,
	} {
		err := checkReply(method, &oauth.Flow{State: "s", Began: time.Now().Add(-age)}, reply)
		e, _ := errors.AsType[caddy.APIError](err)
		if e.HTTPStatus != status {
			t.Errorf("%v: %v, want %d", age, err, status)
		}
	}
}
