// SPDX-License-Identifier: Apache-2.0

// Package grpc calls a gRPC server through the gateway, with the client and the server of grpc-go.
package grpc

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestRefused checks that a call which the API refuses before it has sent anything is repeated
// with a fresh credential, and that the client does not notice.
func TestRefused(t *testing.T) {
	both(t, func(t *testing.T, api *server, secret string, conn *grpc.ClientConn) {
		for i, call := range []func(*testing.T, *grpc.ClientConn) error{one, many} {
			for j, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied} {
				next := strings.Repeat("n", 1+2*i+j)
				want(t, call(t, conn), codes.OK)
				api.refused.Store(0)
				api.code.Store(uint32(code))
				api.accepts.Store(next)
				want(t, call(t, conn), code) // there is nothing newer yet
				write(t, secret, next)
				want(t, call(t, conn), codes.OK)
				want(t, call(t, conn), codes.OK)
				if n := api.refused.Load(); n != 2 {
					t.Errorf("the API has refused %d calls, want 2", n)
				}
			}
		}
	})
}

// TestRefusedLate: where the API has begun to answer, the refusal passes, and the next call is
// served.
func TestRefusedLate(t *testing.T) {
	both(t, func(t *testing.T, api *server, secret string, conn *grpc.ClientConn) {
		api.late.Store(true)
		api.accepts.Store("new")
		write(t, secret, "new")
		want(t, one(t, conn), codes.Unauthenticated)
		eventually(t, func() error { return one(t, conn) })
		want(t, many(t, conn), codes.OK)
	})
}

// TestOtherStatus: any other status passes, and has nothing read again.
func TestOtherStatus(t *testing.T) {
	both(t, func(t *testing.T, api *server, secret string, conn *grpc.ClientConn) {
		for _, code := range []codes.Code{codes.Internal, codes.NotFound, codes.Unavailable} {
			api.code.Store(uint32(code))
			api.accepts.Store("new")
			write(t, secret, "new")
			want(t, one(t, conn), code)
			want(t, one(t, conn), code)
		}
	})
}

// TestOwnProxy: a proxy of the operator's own cannot send a call again, but the next one is
// served. The API reads the whole call first: where one answers earlier, Caddy's proxy reads the
// count of its bodyNopCloserIfNotRead while net/http still writes it, and the race detector says
// so.
func TestOwnProxy(t *testing.T) {
	for name, late := range map[string]bool{"in the header": false, "in the trailers": true} {
		t.Run(name, func(t *testing.T) {
			api, addr := startServer(t)
			api.whole.Store(true)
			secret := filepath.Join(t.TempDir(), "secret")
			write(t, secret, "old")
			gateway := rig.Start(t, config("http://GATEWAY", "authenticated_api {\nauth bearer {file."+secret+"}\n}\nreverse_proxy h2c://"+addr))
			conn := dial(t, gateway, insecure.NewCredentials())
			want(t, one(t, conn), codes.OK)
			api.late.Store(late)
			api.accepts.Store("new")
			write(t, secret, "new")
			want(t, one(t, conn), codes.Unauthenticated)
			eventually(t, func() error { return one(t, conn) })
		})
	}
}
