// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// endsOnce stands in front of a handler. The body of a request cannot be read behind its end, as
// when net/http has begun to write the answer and has closed the body of the request.
type endsOnce struct{}

func init() {
	caddy.RegisterModule(endsOnce{})
	httpcaddyfile.RegisterHandlerDirective("ends_once", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return endsOnce{}, nil
	})
}

func (endsOnce) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.ends_once", New: func() caddy.Module { return new(endsOnce) }}
}

func (endsOnce) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	r.Body = &bodyThatEndsOnce{ReadCloser: r.Body}
	return next.ServeHTTP(w, r)
}

type bodyThatEndsOnce struct {
	io.ReadCloser
	ended bool
}

func (b *bodyThatEndsOnce) Read(p []byte) (int, error) {
	if b.ended {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	b.ended = errors.Is(err, io.EOF)
	return n, err
}

// TestBodyEnd: net/http reads a body of a known length once more when all of it was sent. An API
// that is fast has begun its answer by then, which must not break off (golang/go#40747).
func TestBodyEnd(t *testing.T) {
	for _, size := range []int{1, 1000, 100_000, 1 << 20} {
		api := rig.NewAPI(t, nil)
		for way, options := range map[string]string{"kept": "", "not kept": "replay off\n"} {
			block := "authenticated_api http://" + api.Addr + " {\nauth bearer t\n" + options + "}"
			gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\nroute {\nends_once\n"+block+"\n}\n}")
			reply := rig.Do(t, gateway, "POST", "/", "", strings.Repeat("x", size))
			if reply.StatusCode != http.StatusOK {
				t.Errorf("%d bytes, %s: the client got %d", size, way, reply.StatusCode)
			}
		}
	}
}
