// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// told is a cache whose changes are in a list: "-" for failures, "+" for the end of them.
func told(p *sts) (c *Cache, changes *[]string, logs oauthtest.Logs) {
	c, logs = newCache(p, 100)
	changes = new([]string)
	c.Changed = func(err error) {
		if err != nil {
			*changes = append(*changes, "-")
			return
		}
		*changes = append(*changes, "+")
	}
	return c, changes, logs
}

// exchangeOnce has a token exchanged that nobody has sent before.
func exchangeOnce(t *testing.T, c *Cache, n int) error {
	t.Helper()
	_, err := c.Source(key(n), Subject{Token: fmt.Sprint(n), End: time.Now().Add(time.Hour)}).Credential(t.Context())
	synctest.Wait()
	return err
}

func subjectRefused(second bool) error {
	return &SubjectError{Err: &provider.Error{Code: "invalid_grant", Status: 400}, Second: second}
}

// TestHostileCallers: whoever sends tokens that no provider takes, ever so many and between those
// of others, has nothing told of the datasource, whose status stays what it is; and the log has
// one line a minute.
func TestHostileCallers(t *testing.T) {
	for _, second := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &sts{life: time.Hour}
			c, changes, logs := told(p)
			if err := exchangeOnce(t, c, 0); err != nil {
				t.Fatal(err)
			}
			for n := range 600 {
				p.failWith(nil)
				if n%2 == 0 {
					p.failWith(subjectRefused(second))
				}
				if err := exchangeOnce(t, c, n+1); (err != nil) != (n%2 == 0) {
					t.Fatal(err)
				}
				if h := c.Health(); h.Err != nil || (h.Refused != nil) != (n%2 == 0) || h.Refused != nil && h.RefusedSince.IsZero() {
					t.Fatalf("%+v", h)
				}
				time.Sleep(time.Second)
			}
			if got := strings.Join(*changes, ""); got != "+" || p.asked.Load() != 601 || logs.Len() != 10 {
				t.Errorf("told %q after %d exchanges; %d lines", got, p.asked.Load(), logs.Len())
			}
		})
	}
}

// TestChangesBounded: a provider that fails for some tokens, whosever fault that is, has failures
// told at most once a minute; and a failure that stays is told in the end.
func TestChangesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: time.Hour}
		c, changes, logs := told(p)
		for n := range 600 {
			p.failWith(nil)
			if n%2 == 0 {
				p.failWith(&provider.Error{Status: 500})
			}
			_ = exchangeOnce(t, c, n)
			time.Sleep(time.Second)
		}
		if got := strings.Join(*changes, ""); got != strings.Repeat("-+", 10) || logs.Len() != 10 {
			t.Errorf("told %q in ten minutes; %d lines", got, logs.Len())
		}
		*changes = nil
		p.failWith(&provider.Error{Status: 503})
		for n := range 120 {
			_ = exchangeOnce(t, c, 1000+n)
			time.Sleep(time.Second)
		}
		if got := strings.Join(*changes, ""); got != "-" || c.Health().Err == nil {
			t.Errorf("told %q of an outage", got)
		}
		p.failWith(subjectRefused(false)) // says nothing of the others
		if _ = exchangeOnce(t, c, 2000); c.Health().Err == nil {
			t.Error("a caller that is refused has ended an outage")
		}
		p.failWith(nil)
		if err := exchangeOnce(t, c, 2001); err != nil || strings.Join(*changes, "") != "-+" || c.Health().Err != nil {
			t.Errorf("%v, told %q of its end", err, *changes)
		}
	})
}

// TestSecondLegNeverWorked: a second leg that has never worked is the operator's concern. Once it
// has, a refusal there is one caller's.
func TestSecondLegNeverWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: time.Hour}
		c, changes, _ := told(p)
		p.failWith(subjectRefused(true))
		err := exchangeOnce(t, c, 1)
		if _, ok := errors.AsType[*SubjectError](err); !ok || c.Health().Err == nil || strings.Join(*changes, "") != "-" {
			t.Errorf("%v, %+v, told %q", err, c.Health(), *changes)
		}
		p.failWith(nil)
		_ = exchangeOnce(t, c, 2)
		p.failWith(subjectRefused(true))
		_ = exchangeOnce(t, c, 3)
		if h := c.Health(); h.Err != nil || h.Refused == nil || strings.Join(*changes, "") != "-+" {
			t.Errorf("%+v, told %q", h, *changes)
		}
	})
}
