// SPDX-License-Identifier: Apache-2.0

package value

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// secret stands for everything that an error must not show.
const secret = "s3cr3t-hunter2"

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResolve(t *testing.T) {
	t.Setenv("VALUE_KEY", secret)
	t.Setenv("VALUE_EMPTY", "")
	t.Setenv("VALUE_ENV", "{env.VALUE_KEY}")
	t.Setenv("VALUE_REQUEST", "{http.request.uri}")
	t.Setenv("VALUE_ESCAPE", `\{a\}`)
	t.Setenv("VALUE_MOUSTACHE", "{{a}}")
	t.Setenv("VALUE_JSON", `{"kty":"oct","k":"x.y"}`)
	file := write(t, secret+"\n")

	tests := []struct {
		name, text, want string
	}{
		{"empty", "", ""},
		{"literal", secret, secret},
		{"blanks stay", "  a b\t", "  a b\t"},
		{"env", "{env.VALUE_KEY}", secret},
		{"env in a text", "a-{env.VALUE_KEY}-b", "a-" + secret + "-b"},
		{"two", "{env.VALUE_KEY}{env.VALUE_KEY}", secret + secret},
		{"file", "{file." + file + "}", secret},
		{"line end of Windows", "{file." + write(t, secret+"\r\n") + "}", secret},
		{"one line end only", "{file." + write(t, secret+"\n\n") + "}", secret + "\n"},
		{"system", "{system.slash}", string(filepath.Separator)},
		{"escaped braces", `a\{env.VALUE_KEY\}b`, "a{env.VALUE_KEY}b"},
		{"escaped JSON", `\{"a":1\}`, `{"a":1}`},
		{"a closing brace", "a}b", "a}b"},
		{"an opening brace", "a{b", "a{b"},
		{"an escape behind an opening brace", `a{b\{c`, "a{b{c"},
		{"a placeholder before an opening brace", "{env.VALUE_KEY}{b", secret + "{b"},
		{"backslashes", `a\b\\c\`, `a\b\\c\`},
		// What a placeholder brings is a secret, not a text to be expanded.
		{"env with env", "{env.VALUE_ENV}", "{env.VALUE_KEY}"},
		{"env with request", "{env.VALUE_REQUEST}", "{http.request.uri}"},
		{"env with escape", "{env.VALUE_ESCAPE}", `\{a\}`},
		{"env with moustache", "{env.VALUE_MOUSTACHE}", "{{a}}"},
		{"env with JSON", "{env.VALUE_JSON}", `{"kty":"oct","k":"x.y"}`},
		{"file with env", "{file." + write(t, "{env.VALUE_KEY}") + "}", "{env.VALUE_KEY}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve("opt", tt.text)
			if err != nil || got != tt.want {
				t.Errorf("Resolve(%q) = %q, %v; want %q", tt.text, got, err, tt.want)
			}
			tmpl, err := Parse("opt", tt.text)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.text, err)
			}
			if got, ok := tmpl.Static(); !ok || got != tt.want {
				t.Errorf("Parse(%q).Static() = %q, %t; want %q", tt.text, got, ok, tt.want)
			}
		})
	}
}

func TestResolveErrors(t *testing.T) {
	t.Setenv("VALUE_KEY", secret)
	t.Setenv("VALUE_EMPTY", "")
	missing := filepath.Join(t.TempDir(), "missing")

	tests := []struct {
		name, text string
		hint       string // what the error must say
	}{
		{"unset", "{env.VALUE_UNSET_XYZ}", "{env.VALUE_UNSET_XYZ} is not set"},
		{"empty variable", "{env.VALUE_EMPTY}", "{env.VALUE_EMPTY} is not set, or empty"},
		{"empty variable beside a secret", secret + "{env.VALUE_EMPTY}", "{env.VALUE_EMPTY}"},
		{"no name", "{env.}", "{env.}"},
		{"missing file", "{file." + missing + "}", "no such file or directory"},
		{"empty file", "{file." + write(t, "") + "}", "empty"},
		{"file with a line end only", "{file." + write(t, "\n") + "}", "empty"},
		{"folder", "{file." + t.TempDir() + "}", "is a directory"},
		{"request", "{http.request.header.X}", "belongs to a request"},
		{"user", "{http.auth.user.id}", "belongs to a request"},
		{"time", "{time.now}", "belongs to a request"},
		{"shorthand", "{http.request.uri.path.file.name}", "{file./run/secrets/name}"},
		{"unknown", secret + "{foo.bar}", "no placeholder"},
		{"unknown system", "{system.nothing}", "no placeholder"},
		{"undotted", secret + "{foo}" + secret, "no placeholder"},
		{"empty braces", "{}", "no placeholder"},
		{"dot", "{.}", "no placeholder"},
		{"moustache", secret + "{{env.VALUE_KEY}}", "one brace"},
		{"moustache with blanks", "{{ " + secret + " }}", "one brace"},
		{"Caddyfile variable", "{$VALUE_KEY}", "{env.NAME}"},
		{"password like a Caddyfile variable", "a{$" + secret + "}", "{env.NAME}"},
		{"JSON", `{"k":"` + secret + `"}`, `\{`},
		{"JSON with a dot", `{"` + secret + `.k":1}`, `\{`},
		{"password with braces", "a{" + secret + "}", `\{`},
		{"password with braces and a dot", "a{b!" + secret + ".c}", `\{`},
		{"escape inside of braces", `{` + secret + `\}`, `\{`},
		{"sealed", seal.Prefix + secret, "sealed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve("opt", tt.text)
			checkError(t, err, tt.hint)
			if got != "" {
				t.Errorf("Resolve(%q) = %q along with an error", tt.text, got)
			}
		})
	}
}

func checkError(t *testing.T, err error, hint string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatal("no error")
	case !strings.HasPrefix(err.Error(), "opt"):
		t.Errorf("%q does not begin with the option", err)
	case !strings.Contains(err.Error(), hint):
		t.Errorf("%q does not say %q", err, hint)
	case strings.Contains(err.Error(), secret):
		t.Errorf("%q shows the secret", err)
	}
}

func TestResolveLine(t *testing.T) {
	t.Setenv("VALUE_KEY", "a\tb ü")
	if got, err := ResolveLine("opt", "x {env.VALUE_KEY}"); err != nil || got != "x a\tb ü" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("VALUE_CR", secret+"\r"+secret)
	t.Setenv("VALUE_LF", secret+"\n")
	t.Setenv("VALUE_DEL", secret+"\x7f")
	t.Setenv("VALUE_EMPTY", "")
	for _, tt := range []struct{ name, text, hint string }{
		{"empty", "", "empty"},
		{"empty variable", "{env.VALUE_EMPTY}", "empty"},
		{"CR", "{env.VALUE_CR}", "control character"},
		{"LF at the end", "{env.VALUE_LF}", "control character"},
		{"LF inside of a file", "{file." + write(t, secret+"\n"+secret+"\n") + "}", "control character"},
		{"NUL in a file", "{file." + write(t, secret+"\x00") + "}", "control character"},
		{"DEL", "{env.VALUE_DEL}", "control character"},
		{"escape", secret + "\x1b[2J", "control character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ResolveLine("opt", tt.text)
			checkError(t, err, tt.hint)
			if got != "" {
				t.Errorf("%q along with an error", got)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		text                 string
		check, line, literal bool // what passes
	}{
		{"", true, true, true},
		{"abc", true, true, true},
		{`a\b`, true, true, true},
		{"{env.UNSET_IS_NOT_LOOKED_AT}", true, true, false},
		{"{file./missing}", true, true, false},
		{"{http.auth.user.id}", true, true, false},
		{`\{a\}`, true, true, false},
		{"a}b", true, true, false},
		{"a\nb", true, false, false},
		{"a\rb", true, false, false},
		{"a\x00b", true, false, false},
		{"{{a}}", false, false, false},
		{"{a}", false, false, false},
		{"{$A}", false, false, false},
	}
	for _, tt := range tests {
		for _, c := range []struct {
			name string
			f    func(option, text string) error
			ok   bool
		}{{"Check", Check, tt.check}, {"CheckLine", CheckLine, tt.line}, {"CheckLiteral", CheckLiteral, tt.literal}} {
			if err := c.f("opt", tt.text); (err == nil) != c.ok {
				t.Errorf("%s(%q) = %v; want ok %t", c.name, tt.text, err, c.ok)
			}
		}
	}
	for _, text := range []string{secret + "\n", secret + "{{", secret + "{a}", "{" + secret + "}", "{$" + secret + "}"} {
		for _, f := range []func(option, text string) error{CheckLine, CheckLiteral} {
			if err := f("opt", text); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%q: error %v", text, err)
			}
		}
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("VALUE_KEY", secret)
	t.Setenv("VALUE_REQUEST", "{http.request.uri}")
	repl := caddy.NewReplacer()
	repl.Set("http.request.uri", "/{env.VALUE_KEY}")
	repl.Set("http.auth.user.id", "ann")
	repl.Set("http.empty", "")
	repl.Set("http.number", 7)

	tests := []struct {
		name, text string
		static     bool
		want       string
	}{
		{"literal", "abc", true, "abc"},
		{"global", "a {env.VALUE_KEY}", true, "a " + secret},
		{"request", "{http.auth.user.id}", false, "ann"},
		{"both", "{env.VALUE_KEY}-{http.auth.user.id}.", false, secret + "-ann."},
		{"twice", "{http.auth.user.id}{http.auth.user.id}", false, "annann"},
		{"number", "n={http.number}", false, "n=7"},
		{"empty", "{http.empty}", false, ""},
		{"unknown", "{http.unknown}", false, ""},
		{"unknown in a text", "a{http.unknown}b", false, "ab"},
		{"time of the request", "{time.now.year}", false, time.Now().Format("2006")},
		// A client must not be able to read a variable by sending its placeholder.
		{"what a client sent", "{http.request.uri}", false, "/{env.VALUE_KEY}"},
		{"what a client sent, in a text", "a{http.request.uri}", false, "a/{env.VALUE_KEY}"},
		{"a variable that looks like a placeholder", "{env.VALUE_REQUEST}{http.auth.user.id}", false, "{http.request.uri}ann"},
		{"escaped", `\{http.auth.user.id\}{http.auth.user.id}`, false, "{http.auth.user.id}ann"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := Parse("opt", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if _, static := tmpl.Static(); static != tt.static {
				t.Errorf("static: %t", static)
			}
			if got := tmpl.Expand(repl); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, hint string }{
		{"unset beside a request placeholder", "{http.auth.user.id}{env.VALUE_UNSET_XYZ}", "{env.VALUE_UNSET_XYZ}"},
		{"missing file", "{file./nowhere/to/be/found}", "no such file or directory"},
		{"unknown system", "{system.nothing}", "no placeholder"},
		{"moustache", secret + "{{a.b}}", "one brace"},
		{"undotted", "{" + secret + "}", "no placeholder"},
		{"sealed", seal.Prefix + secret, "sealed"},
		// A Caddyfile makes this of {file.token}. Left for the request it would be empty, and
		// nothing would be sent.
		{"shorthand", "Key {http.request.uri.path.file.token}", "{file./run/secrets/name}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("opt", tt.text)
			checkError(t, err, tt.hint)
		})
	}
	// These two exist in Caddy.
	for _, key := range []string{"base", "ext"} {
		if _, err := Parse("opt", "{http.request.uri.path.file."+key+"}"); err != nil {
			t.Error(err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1": time.Second, "90": 90 * time.Second, "3600": time.Hour, "0600": 10 * time.Minute, "+5": 5 * time.Second,
		"90s": 90 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond,
		"250ms": 250 * time.Millisecond, "1d": 24 * time.Hour, "0.5d": 12 * time.Hour, "1d12h": 36 * time.Hour,
		"315360000": 10 * 365 * 24 * time.Hour,
	} {
		if got, err := ParseDuration("opt", text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "0", "0s", "00", "-0", "-1", "-1s", "-1d", "x", "s", "d", "m", "1x", "1 s", " 1", "1 ", "1.5", "1e3", "0x10", "1_000",
		"10 m", "ten", "NaNd", "infd", "++1", "{env.A}", "1d1", "dd",
		// Each of these would wrap around in a time.Duration, some to something positive.
		"4611686018427387904", "9223372036854775807", "9223372036854775808", "18446744073709551616", "99999999999999999999999",
		"-18446744073", "-9223372036854775808", "-36893488147", "9223372037", "9999999999999s", "999999999d", "3000000h",
	} {
		if got, err := ParseDuration("opt", text); err == nil || got != 0 {
			t.Errorf("%q: %v, %v; want an error", text, got, err)
		} else if !strings.HasPrefix(err.Error(), "opt: ") {
			t.Errorf("%q: %q does not begin with the option", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "abc", "{", "}", "{}", "{{", "}}", `\{`, `\}`, `\`, `{\}`, `\{\}`, "{http.a.b}", "{http.a.b", "a{http.a.b}c", "{http.a{b.c}",
		"{$A}", "{system.os}", "sealed:v1:x", `{"a":{"b":1}}`, "{http.request.uri.path.file.x}", "\x00{http.\xff}", "{ä.b}", "{.}", "{a.}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "{file.") {
			t.Skip("it would read any file")
		}
		tmpl, err := Parse("opt", text)
		if (Check("opt", text) != nil) && err == nil {
			t.Fatal("Parse takes what Check refuses")
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "opt: ") {
				t.Fatalf("%q does not begin with the option", err)
			}
			return
		}
		got := tmpl.Expand(caddy.NewEmptyReplacer())
		if !strings.ContainsAny(text, `{}\`) {
			if s, ok := tmpl.Static(); !ok || s != text || got != text {
				t.Fatalf("%q became %q", text, got)
			}
			if IsSealed(text) {
				t.Fatal("a sealed value passed as it stands")
			}
		}
		// Escaping every brace gives every text back.
		escaped := strings.NewReplacer("{", `\{`, "}", `\}`).Replace(text)
		if tmpl, err = Parse("opt", escaped); err != nil {
			if strings.Contains(text, "{{") {
				t.Fatalf("%q: %v", escaped, err)
			}
			return
		}
		if s, ok := tmpl.Static(); !ok || s != text && !strings.Contains(text, `\`) {
			t.Fatalf("%q became %q", escaped, s)
		}
	})
}

// TestResolveSealedElsewhere: nothing opens a sealed value that a placeholder brings, and it must
// not be sent as if it were the secret.
func TestResolveSealedElsewhere(t *testing.T) {
	const sealed = "sealed:v1:" + secret
	t.Setenv("TEST_SEALED", sealed)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(sealed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{env.TEST_SEALED}", "{file." + file + "}"} {
		_, err := Resolve("opt", text)
		if err == nil || !strings.Contains(err.Error(), "opened only where it stands in the configuration") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
