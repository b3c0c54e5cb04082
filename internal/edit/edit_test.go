// SPDX-License-Identifier: Apache-2.0

package edit_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/caddyserver/caddy/v2"
)

// replacer returns a request's replacer: names and values in turn.
func replacer(pairs ...string) func() *caddy.Replacer {
	return func() *caddy.Replacer {
		repl := caddy.NewReplacer()
		for i := 0; i < len(pairs); i += 2 {
			repl.Set(pairs[i], pairs[i+1])
		}
		return repl
	}
}

// unused is a replacer for edits that must not need one.
func unused(t *testing.T) func() *caddy.Replacer {
	return func() *caddy.Replacer {
		t.Error("a replacer was asked for")
		return caddy.NewReplacer()
	}
}

type values = map[string][]string

func TestHeaderEdits(t *testing.T) {
	t.Setenv("EDITS_KEY", "from-env")
	t.Setenv("EDITS_PLACEHOLDER", "{http.auth.user.id}")
	for _, tt := range []struct {
		name     string
		edits    *edit.Edits
		in, want http.Header
	}{
		{"nil", nil, http.Header{"A": {"1"}}, http.Header{"A": {"1"}}},
		{"none", &edit.Edits{}, http.Header{"A": {"1"}}, http.Header{"A": {"1"}}},
		{"set", &edit.Edits{Set: values{"x-a": {"1"}}}, http.Header{"X-A": {"0", "0"}, "B": {"2"}}, http.Header{"X-A": {"1"}, "B": {"2"}}},
		{"set two values", &edit.Edits{Set: values{"A": {"1", "2"}}}, http.Header{}, http.Header{"A": {"1", "2"}}},
		{"set empty", &edit.Edits{Set: values{"A": {""}}}, http.Header{"A": {"0"}}, http.Header{"A": {""}}},
		{"set env", &edit.Edits{Set: values{"A": {"k={env.EDITS_KEY}"}}}, http.Header{}, http.Header{"A": {"k=from-env"}}},
		{"set user", &edit.Edits{Set: values{"A": {"{http.auth.user.id}"}}}, http.Header{"A": {"evil"}}, http.Header{"A": {"ann"}}},
		{"no second expansion", &edit.Edits{Set: values{"A": {"{env.EDITS_PLACEHOLDER}"}}}, http.Header{}, http.Header{"A": {"{http.auth.user.id}"}}},
		{"what a client sent", &edit.Edits{Set: values{"A": {"{http.evil}"}}}, http.Header{}, http.Header{"A": {"{env.EDITS_KEY}"}}},
		{"set an empty user", &edit.Edits{Set: values{"A": {"{http.empty}"}}}, http.Header{}, http.Header{}},
		{"set one empty of two", &edit.Edits{Set: values{"A": {"{http.empty}", "{http.auth.user.id}"}}}, http.Header{}, http.Header{"A": {"ann"}}},
		{"set unknown", &edit.Edits{Set: values{"A": {"{http.unknown}"}}}, http.Header{}, http.Header{}},
		{"add", &edit.Edits{Add: values{"a": {"2"}}}, http.Header{"A": {"1"}}, http.Header{"A": {"1", "2"}}},
		{"add to nothing", &edit.Edits{Add: values{"a": {"2"}}}, http.Header{}, http.Header{"A": {"2"}}},
		{"add an empty user", &edit.Edits{Add: values{"A": {"{http.empty}"}}}, http.Header{"A": {"1"}}, http.Header{"A": {"1"}}},
		{"default", &edit.Edits{Default: values{"a": {"2"}}}, http.Header{}, http.Header{"A": {"2"}}},
		{"default, sent", &edit.Edits{Default: values{"a": {"2"}}}, http.Header{"A": {"1"}}, http.Header{"A": {"1"}}},
		{"default, sent empty", &edit.Edits{Default: values{"a": {"2"}}}, http.Header{"A": {""}}, http.Header{"A": {""}}},
		{"default, no values", &edit.Edits{Default: values{"a": {"2"}}}, http.Header{"A": nil}, http.Header{"A": {"2"}}},
		{"default, an empty user", &edit.Edits{Default: values{"a": {"{http.empty}"}}}, http.Header{}, http.Header{}},
		// The proxy writes an empty User-Agent so that Go's client sends none.
		{"default user agent", &edit.Edits{Default: values{"User-Agent": {"us"}}}, http.Header{"User-Agent": {""}}, http.Header{"User-Agent": {"us"}}},
		{"default user agent, sent", &edit.Edits{Default: values{"User-Agent": {"us"}}}, http.Header{"User-Agent": {"curl"}}, http.Header{"User-Agent": {"curl"}}},
		{"set, then add", &edit.Edits{Set: values{"A": {"1"}}, Add: values{"A": {"2"}}, Default: values{"A": {"3"}}}, http.Header{"A": {"0"}}, http.Header{"A": {"1", "2"}}},
		{"delete is the cleaner's", &edit.Edits{Delete: []string{"A"}}, http.Header{"A": {"by the proxy"}}, http.Header{"A": {"by the proxy"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edits, err := edit.NewHeader(tt.edits)
			if err != nil {
				t.Fatal(err)
			}
			repl := replacer("http.auth.user.id", "ann", "http.empty", "", "http.evil", "{env.EDITS_KEY}")
			if edits.Static() {
				repl = unused(t)
			}
			fields, err := edits.Evaluate(repl)
			if err != nil {
				t.Fatal(err)
			}
			if fields.Apply(tt.in); !maps.EqualFunc(tt.in, tt.want, slices.Equal) {
				t.Errorf("got %v, want %v", tt.in, tt.want)
			}
		})
	}
}

func TestHeaderEditsStatic(t *testing.T) {
	t.Setenv("EDITS_KEY", "from-env")
	edits, err := edit.NewHeader(&edit.Edits{Set: values{"A": {"{env.EDITS_KEY}"}}, Add: values{"B": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := edits.Evaluate(unused(t))
	second, _ := edits.Evaluate(nil)
	if !edits.Static() || first != second {
		t.Error("what is the same for all requests is made anew")
	}
	none, err := edit.NewHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	fields, _ := none.Evaluate(nil)
	untouched := http.Header{}
	if fields.Apply(untouched); !none.Static() || len(untouched) != 0 {
		t.Errorf("no edits make %v", untouched)
	}
	h := http.Header{"A": {"0"}, "B": {"0"}}
	first.ApplySet(h)
	first.ApplySet(h)
	if !slices.Equal(h["A"], []string{"from-env"}) || !slices.Equal(h["B"], []string{"0"}) {
		t.Errorf("ApplySet gives %v", h)
	}
}

// The values of a header map are shared: with the map of another attempt, with the request that a
// log shows, and, those that are set, with all other requests.
func TestHeaderEditsAliasing(t *testing.T) {
	edits, err := edit.NewHeader(&edit.Edits{Set: values{"Set": {"1", "2", "3"}}, Add: values{"Add": {"ours"}}, Default: values{"Default": {"1", "2", "3"}}})
	if err != nil {
		t.Fatal(err)
	}
	fields, err := edits.Evaluate(unused(t))
	if err != nil {
		t.Fatal(err)
	}
	spare := append(make([]string, 0, 8), "client")
	set := []string{"client"}
	original := http.Header{"Add": spare, "Set": set}

	attempt := maps.Clone(original)
	fields.Apply(attempt)
	if !slices.Equal(attempt["Add"], []string{"client", "ours"}) {
		t.Fatalf("got %v", attempt)
	}
	if set[0] != "client" || len(original["Add"]) != 1 || spare[:2][1] != "" {
		t.Error("a slice of the request was written to")
	}
	// What another handler does to the outgoing request must not reach the next one.
	for name := range attempt {
		attempt[name] = append(attempt[name], "other")
	}
	next := maps.Clone(original)
	fields.Apply(next)
	for name, want := range map[string][]string{"Set": {"1", "2", "3"}, "Add": {"client", "ours"}, "Default": {"1", "2", "3"}} {
		if !slices.Equal(next[name], want) {
			t.Errorf("%s of the next request is %q", name, next[name])
		}
		next[name] = append(next[name], "mine")
		if last := attempt[name][len(attempt[name])-1]; last != "other" {
			t.Errorf("%s of the request before has become %q", name, last)
		}
	}
}

func TestEditsBadValue(t *testing.T) {
	for _, val := range []string{"a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "\x7f", "\x1b[2J"} {
		for _, group := range []edit.Edits{{Set: values{"A": {"{http.x}"}}}, {Add: values{"A": {"b{http.x}"}}}, {Default: values{"A": {"{http.x}"}}}} {
			edits, err := edit.NewHeader(&group)
			if err != nil {
				t.Fatal(err)
			}
			fields, err := edits.Evaluate(replacer("http.x", val))
			if !errors.Is(err, edit.ErrBadValue) || fields != nil {
				t.Errorf("%q: %v, error %v", val, fields, err)
			} else if strings.Contains(err.Error(), val) {
				t.Errorf("%q is in %q", val, err)
			}
		}
	}
	// In a query they are escaped, and can do no harm.
	edits, err := edit.NewQuery(&edit.Edits{Set: values{"a": {"{http.x}"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := edits.Evaluate(replacer("http.x", "1\r\n&b=2#")).Apply(""); got != "a=1%0D%0A%26b%3D2%23" {
		t.Errorf("got %q", got)
	}
}

func TestQueryEdits(t *testing.T) {
	t.Setenv("EDITS_KEY", "from env&x=y")
	for _, tt := range []struct {
		name     string
		edits    *edit.Edits
		in, want string
	}{
		{"nil", nil, "b=%zz&a", "b=%zz&a"},
		{"set", &edit.Edits{Set: values{"a": {"1"}}}, "", "a=1"},
		{"set, sent", &edit.Edits{Set: values{"a": {"1"}}}, "b=%zz&A[]=0&c=+;%61=0", "a=1&b=%zz&c=+"},
		{"set two values", &edit.Edits{Set: values{"a": {"1", "2"}}}, "b", "a=1&a=2&b"},
		{"set in order", &edit.Edits{Set: values{"b": {"2"}, "a": {"1"}}}, "", "a=1&b=2"},
		{"set empty", &edit.Edits{Set: values{"a": {""}}}, "a=0", "a="},
		{"set env", &edit.Edits{Set: values{"a b": {"{env.EDITS_KEY}"}}}, "", "a%20b=from%20env%26x%3Dy"},
		{"set user", &edit.Edits{Set: values{"a": {"{http.auth.user.id}"}}}, "", "a=ann%2Bb"},
		{"set an empty user", &edit.Edits{Set: values{"a": {"{http.empty}"}}}, "b", "b"},
		{"set with brackets", &edit.Edits{Set: values{"ids[]": {"1", "2"}}}, "ids[]=3&ids=4&id=5", "ids%5B%5D=1&ids%5B%5D=2&id=5"},
		{"add", &edit.Edits{Add: values{"a": {"2"}}}, "a=1", "a=1&a=2"},
		{"default", &edit.Edits{Default: values{"a": {"2"}}}, "b", "a=2&b"},
		{"default, sent", &edit.Edits{Default: values{"a": {"2"}}}, "b&%41=1", "b&%41=1"},
		{"default, sent without a value", &edit.Edits{Default: values{"a": {"2"}}}, "a", "a"},
		{"default, an empty user", &edit.Edits{Default: values{"a": {"{http.empty}"}}}, "", ""},
		{"set of one family", &edit.Edits{Set: values{"page[size]": {"50"}, "page[number]": {"1"}}}, "page[size]=1&page[after]=x&PAGE[Number]=2&page=3", "page%5Bnumber%5D=1&page%5Bsize%5D=50&page[after]=x"},
		{"set, and others of its family", &edit.Edits{Set: values{"filter[tenant]": {"acme"}}}, "filter[status]=open&filter[tenant]=evil&filter%5Btenant%5D=evil&[filter][tenant]=evil&filter.tenant=evil&filter=evil", "filter%5Btenant%5D=acme&filter[status]=open"},
		{"set what PHP reads as one", &edit.Edits{Set: values{"a.b": {"1"}, "a_b": {"2"}}}, "a+b=0", "a.b=1&a_b=2"},
		{"default of a family", &edit.Edits{Default: values{"page[size]": {"100"}, "page[number]": {"1"}}}, "page[number]=2", "page%5Bsize%5D=100&page[number]=2"},
		{"set and add", &edit.Edits{Set: values{"expand[]": {"a"}}, Add: values{"expand[]": {"b"}}}, "expand[]=c&x", "expand%5B%5D=a&expand%5B%5D=b&x"},
		{"all", &edit.Edits{Set: values{"a": {"1"}}, Add: values{"b": {"2"}}, Default: values{"c": {"3"}}}, "a=0&b=0", "c=3&a=1&b=0&b=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edits, err := edit.NewQuery(tt.edits)
			if err != nil {
				t.Fatal(err)
			}
			repl := replacer("http.auth.user.id", "ann+b", "http.empty", "")
			if edits.Static() {
				repl = unused(t)
			}
			params := edits.Evaluate(repl)
			if got := params.Apply(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if once := params.ApplySet(tt.in); params.ApplySet(once) != once {
				t.Errorf("ApplySet twice gives %q", params.ApplySet(once))
			}
		})
	}
}

func TestEditsErrors(t *testing.T) {
	const secret = "s3cr3t"
	t.Setenv("EDITS_EMPTY", "")
	t.Setenv("EDITS_LF", secret+"\nX-Evil: 1")
	for _, tt := range []struct {
		name          string
		header, query *edit.Edits
		hint          string
	}{
		{"no value", &edit.Edits{Set: values{"A": nil}}, &edit.Edits{Set: values{"A": nil}}, "missing"},
		{"line break", &edit.Edits{Add: values{"A": {secret + "\n"}}}, &edit.Edits{Add: values{"A": {secret + "\r"}}}, "line break"},
		{"moustache", &edit.Edits{Default: values{"A": {secret + "{{x}}"}}}, &edit.Edits{Default: values{"A": {"{{x}}"}}}, "{{"},
		{"unset", &edit.Edits{Set: values{"A": {"{env.EDITS_UNSET}"}}}, &edit.Edits{Set: values{"A": {"{env.EDITS_UNSET}"}}}, "{env.EDITS_UNSET}"},
		{"empty", &edit.Edits{Set: values{"A": {"{env.EDITS_EMPTY}"}}}, &edit.Edits{Add: values{"A": {"{env.EDITS_EMPTY}"}}}, "{env.EDITS_EMPTY}"},
		{"line break in a variable", &edit.Edits{Set: values{"A": {"{env.EDITS_LF}"}}}, nil, "control character"},
		{"the same beside a request's placeholder", &edit.Edits{Set: values{"A": {"{env.EDITS_LF}"}, "B": {"{http.x}"}}}, nil, "control character"},
		{"empty name", &edit.Edits{Set: values{"": {"1"}}}, &edit.Edits{Delete: []string{""}}, "name"},
		{"blank in a name", &edit.Edits{Delete: []string{"A B"}}, nil, "RFC 9110 §5.1"},
		{"colon in a name", &edit.Edits{Set: values{"A:": {"1"}}}, nil, "RFC 9110 §5.1"},
		{"line break in a name", &edit.Edits{Set: values{"A\n": {"1"}}}, &edit.Edits{Set: values{"A\n": {"1"}}}, ""},
		{"placeholder in a name", &edit.Edits{Set: values{"{http.x}": {"1"}}}, &edit.Edits{Set: values{"{http.x}": {"1"}}}, "placeholder"},
		{"nothing but brackets", nil, &edit.Edits{Set: values{"[]": {"1"}}}, "name of a query parameter"},
		{"Host", &edit.Edits{Set: values{"host": {"a"}}}, nil, "base URL"},
		{"Connection", &edit.Edits{Delete: []string{"connection"}}, nil, "RFC 9110 §7.6.1"},
		{"TE", &edit.Edits{Default: values{"TE": {"trailers"}}}, nil, "RFC 9110 §7.6.1"},
		{"Transfer-Encoding", &edit.Edits{Add: values{"Transfer-Encoding": {"x"}}}, nil, "RFC 9110 §7.6.1"},
		{"Content-Length", &edit.Edits{Set: values{"content-length": {"1"}}}, nil, "RFC 9110 §7.6.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(err error, prefix string) {
				t.Helper()
				switch {
				case err == nil:
					t.Error("no error")
				case !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), tt.hint):
					t.Errorf("%q does not begin with %q and say %q", err, prefix, tt.hint)
				case strings.Contains(err.Error(), secret):
					t.Errorf("%q shows the secret", err)
				}
			}
			if tt.header != nil {
				_, err := edit.NewHeader(tt.header)
				check(err, "header")
			}
			if tt.query != nil {
				_, err := edit.NewQuery(tt.query)
				check(err, "query")
			}
		})
	}
}

func TestEditsSecrets(t *testing.T) {
	t.Setenv("EDITS_KEY", "a-key-from-the-environment")
	t.Setenv("EDITS_STAGE", "production")
	e := &edit.Edits{Set: values{"A": {"Bearer {env.EDITS_KEY}"}, "B": {"{env.EDITS_STAGE}"}, "C": {"a-literal-that-nobody-calls-a-secret"}}}
	got, err := e.Secrets("header")
	if want := []string{"a-key-from-the-environment"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := (&edit.Edits{Set: values{"A": {"{env.EDITS_UNSET}"}}}).Secrets("header"); err == nil {
		t.Errorf("of a variable that is not set: %q", got)
	}
	if got, err := (*edit.Edits)(nil).Secrets("header"); got != nil || err != nil {
		t.Errorf("no edits have %q, %v", got, err)
	}
}

func TestEditsNames(t *testing.T) {
	e := &edit.Edits{Set: values{"B": {"1"}, "A": {"2"}}, Add: values{"C": {"3"}}, Default: values{"D": {"4"}}, Delete: []string{"E"}}
	if got, want := e.Names(), []string{"A", "B", "E"}; !slices.Equal(got, want) {
		t.Errorf("a client must not send %q, want %q", got, want)
	}
	if got := (*edit.Edits)(nil).Names(); got != nil {
		t.Errorf("no edits have %q", got)
	}
}

func TestEditsFiles(t *testing.T) {
	for want, e := range map[bool]*edit.Edits{
		true:  {Set: values{"A": {"1"}}, Default: values{"B": {"2", "x {file./run/key}"}}},
		false: {Set: values{"A": {"{env.EDITS_KEY}"}}, Add: values{"B": {"{http.x}"}}},
	} {
		if got := len(e.Files()) > 0; got != want {
			t.Errorf("%v: %t", e, got)
		}
	}
}
