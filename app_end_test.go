// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestMustEndBy: all datasources have the time that Caddy gives to requests, from the moment at
// which it is told to end.
func TestMustEndBy(t *testing.T) {
	for _, tt := range []struct {
		grace, delay, used, want time.Duration // used: until the first datasource is asked to end
	}{
		{2 * time.Second, 0, 0, 2 * time.Second},
		{2 * time.Second, 0, 2 * time.Second, 0},
		{2 * time.Second, time.Second, time.Second, 2 * time.Second},
		{time.Hour, 0, time.Minute, 59 * time.Minute},
		{0, 0, time.Minute, endPatience},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := new(App)
			a.endsWith(&caddyhttp.App{GracePeriod: caddy.Duration(tt.grace), ShutdownDelay: caddy.Duration(tt.delay)})
			time.Sleep(tt.used)
			begin := time.Now()
			if got := a.mustEndBy().Sub(begin); got != tt.want {
				t.Errorf("%+v: the first has %v", tt, got)
			}
			time.Sleep(time.Second)
			if got := a.mustEndBy().Sub(begin); got != tt.want {
				t.Errorf("%+v: the second has %v, of which the first has used one second", tt, got)
			}
		})
	}
}
