// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// configOf returns the configuration of a client whose endpoints are all at one URL.
func configOf(url string) *Config {
	return &Config{
		AuthorizationURL: url, TokenURL: url, RevocationURL: url, RedirectURL: "https://g.example/connect/callback",
		ClientID: "i", ClientSecret: oauthtest.ClientSecret, Timeout: 500 * time.Millisecond,
		Tokens: func() []string { return []string{oauthtest.TokenText} },
	}
}

// attemptAt makes one token request at an endpoint, and returns its error. Whatever the endpoint
// does, the request needs no more than a megabyte for it, it ends in time, and nobody gets to see
// secrets or what the endpoint has written.
func attemptAt(t *testing.T, url string) error {
	t.Helper()
	client := New(nil, nil)
	defer client.CloseIdleConnections()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := client.Credentials(context.Background(), configOf(url))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8*maxAnswer {
		t.Errorf("%d bytes were allocated", n)
	}
	if err == nil {
		return nil
	}
	if found := oauthtest.Leaks(oauthtest.AnyText(err) + logged(t, err)); found != nil {
		t.Errorf("the error shows %q: %v", found, err)
	}
	return err
}

// logged returns what a log has of an error.
func logged(t *testing.T, err error) string {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // it is what requests return
	if !ok {
		t.Fatalf("no *Error: %v", err)
	}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	line, err := enc.EncodeEntry(zapcore.Entry{}, []zap.Field{zap.Inline(e), zap.NamedError("cause", e.Err)})
	if err != nil {
		t.Fatal(err)
	}
	return line.String()
}
