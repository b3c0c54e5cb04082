// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

// publishedKey is a key in the JWKS of a host.
type publishedKey struct {
	datasource, host string // no host: the key may be at any
	thumbprint       string
	fetched          bool // the provider gets the address of the JWKS when the client is registered
}

// publishedKeys are the keys that have one identifier, which may be thousands. They are at odds if
// two are at one host, differ, and one of them is fetched there.
//
// Of each host only witnesses are kept, so that a further key costs the same however many there
// are: what is said about a key is whether any other differs from it, and two that differ from
// each other say that.
type publishedKeys struct {
	at       map[string]*witnesses // by host
	anywhere witnesses
}

// add adds a key, and returns one that it is at odds with, if there is any.
func (p *publishedKeys) add(key publishedKey) (other *publishedKey) {
	if key.host == "" {
		other = p.anywhere.atOdds(key)
	} else if other = p.at[key.host].atOdds(key); other == nil {
		other = p.at[""].atOdds(key)
	}
	p.anywhere.add(key)
	here := p.at[key.host]
	if here == nil {
		if p.at == nil {
			p.at = make(map[string]*witnesses)
		}
		here = new(witnesses)
		p.at[key.host] = here
	}
	here.add(key)
	return other
}

// witnesses stand for many keys: for all, and for those that are fetched. A nil pointer has none.
type witnesses struct{ all, fetched witness }

// witness are the first key, and the first that differs from it.
type witness struct{ first, second *publishedKey }

func (w *witnesses) add(key publishedKey) {
	w.all.add(key)
	if key.fetched {
		w.fetched.add(key)
	}
}

func (w *witnesses) atOdds(key publishedKey) *publishedKey {
	switch {
	case w == nil:
		return nil
	case key.fetched:
		return w.all.differing(key.thumbprint)
	default:
		return w.fetched.differing(key.thumbprint)
	}
}

func (w *witness) add(key publishedKey) {
	switch {
	case w.first == nil:
		kept := key // a key that is not kept needs no place of its own
		w.first = &kept
	case w.second == nil && w.first.thumbprint != key.thumbprint:
		kept := key
		w.second = &kept
	}
}

// differing returns a key that has another thumbprint.
func (w *witness) differing(thumbprint string) *publishedKey {
	if w.first != nil && w.first.thumbprint == thumbprint {
		return w.second
	}
	return w.first
}
