// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

func TestRelative(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0:                           "now",
		400 * time.Millisecond:      "now",
		-400 * time.Millisecond:     "now",
		600 * time.Millisecond:      "in 1s",
		-time.Second:                "1s ago",
		time.Minute:                 "in 1m",
		59*time.Minute + 59e9:       "in 59m59s",
		-90 * time.Minute:           "1h30m ago",
		time.Hour + 59*time.Second:  "in 1h",
		26*time.Hour + time.Minute:  "in 1d2h",
		-400 * 24 * time.Hour:       "1y35d ago",
		10 * 365 * 24 * time.Hour:   "in 10y",
		48*time.Hour + 59*time.Hour: "in 4d11h",
	} {
		at := now.Add(d)
		if got := relative(&at, now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := relative(nil, now); got != "" {
		t.Errorf("an unknown time: %q", got)
	}
}

func TestPrintStatuses(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { at := now.Add(d); return &at }
	var out bytes.Buffer
	err := printStatuses(&out, []*connection.Status{
		{
			Datasource: "crm", Connection: "ann", Grant: "authorization_code", State: connection.StateConnected,
			ExpiresAt: at(59 * time.Minute), RefreshedAt: at(-time.Minute),
		},
		{
			Datasource: "crm", Connection: "a\x1b[2J\u202e\t\n\u009b", Grant: "authorization_code", State: connection.StateReauthorize,
			LastError: "invalid_grant", LastDescription: "the user \x1b[2J has left", LastErrorSince: at(-26 * time.Hour), Stored: new(true),
		},
		{
			Datasource: "crm", Connection: "zoe", Grant: "authorization_code", State: connection.StateConnected,
			LastError: "status_503", LastErrorSince: at(-3 * time.Minute), NextAttemptAt: at(40 * time.Second), Stored: new(false),
		},
		{Datasource: "github", Grant: "authorization_code", State: connection.StateNone},
		{Datasource: "robot", Grant: "client_credentials", State: connection.StateConnected},
		{
			Datasource: "weather", Grant: "client_credentials", State: connection.StateFailing,
			LastError: "invalid_client", LastErrorSince: at(-time.Hour), NextAttemptAt: at(time.Minute),
		},
	}, now)
	const want = `
DATASOURCE  CONNECTION                  GRANT               STATE                     EXPIRES  REFRESHED  STORED  SINCE     NEXT ATTEMPT  LAST ERROR
crm         ann                         authorization_code  connected                 in 59m   1m ago     -       -         -             -
crm         "a\x1b[2J\u202e\t\n\u009b"  authorization_code  reauthorization_required  -        -          yes     1d2h ago  -             "invalid_grant: the user \x1b[2J has left"
crm         zoe                         authorization_code  connected                 -        -          no      3m ago    in 40s        status_503
github      -                           authorization_code  not_connected             -        -          -       -         -             -
robot       -                           client_credentials  connected                 -        -          -       -         -             -
weather     -                           client_credentials  failing                   -        -          -       1h ago    in 1m         invalid_client
`
	if err != nil || out.String() != want[1:] {
		t.Errorf("%v, got\n%s\nwant%s", err, out.String(), want)
	}
}

// TestPrintable: what a terminal could obey is quoted, and nothing else.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"ann": "ann", `CORP\ann`: `CORP\ann`, "Zoë Ω 名前 🙂": "Zoë Ω 名前 🙂", "a b": "a b", "": "",
		"a\x1b]0;x\x07": `"a\x1b]0;x\a"`, "a\r": `"a\r"`, "a\x7f": `"a\x7f"`, "a\u0085b": `"a\u0085b"`, "a\u2066b": `"a\u2066b"`,
		"a\xffb": `"a\xffb"`, "a\u200bb": `"a\u200bb"`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestPrintJSON: what is printed means the same, and nothing in it is obeyed by a terminal.
func TestPrintJSON(t *testing.T) {
	for _, text := range []string{"ann", "a\u009b31m\x7f\u202e\x1b", "\U000E0001 tag", "Zoë 🙂", `\u009b "`} {
		in, err := json.Marshal([]map[string]string{{"connection": text}})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := printJSON(&out, append(in, '\n')); err != nil {
			t.Fatal(err)
		}
		var got []map[string]string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || !reflect.DeepEqual(got, []map[string]string{{"connection": text}}) {
			t.Errorf("%q: %v, %s", text, err, out.String())
		}
		if line := strings.TrimSuffix(out.String(), "\n"); printable(line) != line {
			t.Errorf("%q: printed as %q", text, line)
		}
	}
}

// TestPrintDiscovered: what was found out is printed below the table, once for all connections
// that have it in common, and nothing in it is obeyed by a terminal.
func TestPrintDiscovered(t *testing.T) {
	found := func(issuer string) *connection.Discovered {
		return &connection.Discovered{
			Issuer: issuer, TokenURL: "https://login.example/token", Registration: connection.RegisteredByRequest, ClientID: "client-1",
			Because: "the provider registers clients", Scopes: []string{"read", "write"}, WrittenOut: []string{"scopes"},
		}
	}
	var out bytes.Buffer
	err := printStatuses(&out, []*connection.Status{
		{Datasource: "crm", Connection: "ann", State: connection.StateConnected, Discovered: found("https://login.example")},
		{Datasource: "crm", Connection: "bob", State: connection.StateConnected, Discovered: found("https://login.example")},
		{Datasource: "crm", Connection: "zoe", State: connection.StateConnected, Discovered: found("https://login.example/\x1b[2J")},
		{Datasource: "new", State: connection.StateNone, Discovered: &connection.Discovered{}},
		{
			Datasource: "notes", State: connection.StateNone, LastError: connection.DiscoveryFailed, LastDescription: "discovery at https://x.example: it is http",
			Remedy: "write discover <issuer>",
		},
	}, time.Now())
	const rest = `
  Token endpoint    https://login.example/token
  Client            registered dynamically, client-1, since the provider registers clients
  Scopes asked for  read write
  Written out       scopes
`
	want := "discovery_failed: discovery at https://x.example: it is http; write discover <issuer>\n" +
		"\nDiscovered for crm, connection ann:\n  Issuer            https://login.example" + rest +
		"\nDiscovered for crm, connection zoe:\n  Issuer            \"https://login.example/\\x1b[2J\"" + rest
	if err != nil || !strings.HasSuffix(out.String(), want) {
		t.Errorf("%v, got\n%s\nwant it to end in\n%s", err, out.String(), want)
	}
}
