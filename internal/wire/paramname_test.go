// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
)

// Of each row the names on the right collide with the one on the left, or do not.
func TestParamNameCollides(t *testing.T) {
	for key, raw := range map[string]string{
		"name": "name NAME nAmE %6eame %6E%41me name[] name[0] name[a] name[a][b] name%5B%5D name[ name[x [name] [name][] [name]x " +
			"%5Bname%5D [name ]name name] []name [][name] [[name]] +name %20name ++name %09name %0aname name+ name%20 name%09 name%00 " +
			"name%00x %00name ?name %EF%BB%BFname name. .name na%me n%%ame %u006eame n%u0061me name%u005b] name[%00",
		"my_name":        "my_name my.name my+name my%20name my[name MY.NAME my%2bname my_name[x] my.name[] my%2ename [my_name] +my.name [my.name]",
		"my.name":        "my.name my_name my+name my[name my[name] my.name[x]",
		"name_":          "name_ name. name+ name%20 name[ name_[x]",
		"key":            "key \u212aey %e2%84%aaey",
		"sids":           "sids %c5%bfids s%c4%b1ds s%c4%b0ds",
		"ids[]":          "ids ids[] ids[0] ids[x] [ids] IDS ids[][x] ids%5b",
		"filter[tenant]": "filter[tenant] filter%5Btenant%5D filter filter[] FILTER[Tenant] [filter][tenant] filter[tenant][] filter[tenant][x] filter[tenant]x filter[+tenant] filter['tenant'] filter.tenant [filter] filter[tenant filter[[tenant]] filter[tenant][ +filter[tenant]",
		"a[b][c]":        "a[b][c] a a[b] a[b][c][d] a[][c] a[b]x a[b][ a.b.c a[b.c]",
		"a[0]":           "a[0] a[] a",
		"100%":           "100% 100%25 100",
		"n\xff":          "n%ff n%fe n%ef%bf%bd",
		"a b":            "a+b a%20b a_b a.b",
	} {
		n := NewParamNames(key)
		for name := range strings.FieldsSeq(raw) {
			if !n.Collide(name) {
				t.Errorf("%q takes no %q", key, name)
			}
			if !newParamName(name).collides(n[0]) {
				t.Errorf("%q does not collide with %q", name, key)
			}
		}
	}
	for key, raw := range map[string]string{
		"name":           "names nam xname name2 name-x name_x na_me name.x my[name] first[name] name%2526 nam%65s n%zzame",
		"my_name":        "my[name] my my-name myname",
		"my.name":        "my myname my-name",
		"page[size]":     "page[number] page[after] page_size size pages pagesize page.number",
		"filter[tenant]": "filter[status] filter[tenants] filter[status][tenant] tenant filter_tenant filters[tenant] [tenant] x[filter][tenant] filter.status filter[status][] filter[since]x",
		"a[b][c]":        "a[c] a[b][d] a[c][b] b a.b a[b.d]",
		"a[0]":           "a[1] a[x] a[00] a0",
		"user":           "user.name user-id user_id users",
		"k%65y":          "key",
	} {
		n := NewParamNames(key)
		for name := range strings.FieldsSeq(raw) {
			if n.Collide(name) || newParamName(name).collides(n[0]) {
				t.Errorf("%q collides with %q", name, key)
			}
		}
	}
	for _, key := range []string{"", "[]", "[", "\x00", " ", "%", "[]]"} {
		if n := NewParamNames(key)[0]; !n.empty() && key != "[" {
			t.Errorf("%q is a name: %q", key, n)
		}
	}
}

func TestParamNameAllocations(t *testing.T) {
	names := NewParamNames("tenant", "filter[tenant]", "page[size]")
	const raw = "page=2&sortBy=name%20asc&filter_x=a|b"
	if n := testing.AllocsPerRun(100, func() { HasQuery(raw, names) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The short way for words says what the long way says, and whichever way round two names are held.
func FuzzParamName(f *testing.F) {
	for _, pair := range [][2]string{
		{"name", "Name"}, {"a[b]", "a.b"}, {"a_b", "a[b"}, {"a[]", "a[0]"}, {"[a]", "a"}, {"\u017f", "s"}, {"a%00", "%u0061"}, {"%", "["},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		p, q := newParamName(a), newParamName(b)
		if p.collides(q) != q.collides(p) {
			t.Errorf("%q and %q collide in one direction only", a, b)
		}
		if wordy(b) && p.collidesWithWord(b) != p.collides(q) {
			t.Errorf("%q and the word %q: %t, %t", a, b, p.collidesWithWord(b), p.collides(q))
		}
		if !p.empty() && !p.collides(p) {
			t.Errorf("%q does not collide with itself", a)
		}
	})
}
