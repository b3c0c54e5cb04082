// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// published is what the consoles of a configuration publish of its datasources: providers read
// there who the client is. Two datasources that say different things in one place would both be
// refused by turns.
type published struct {
	mu        sync.Mutex
	documents map[string]publishedDocument // by address
	keys      map[string]*publishedKeys    // by identifier
}

// publishedDocument is what a datasource needs a Client ID Metadata Document to say.
type publishedDocument struct{ datasource, name, auth string }

// add checks what a datasource publishes against what the others do.
func (p *published) add(datasource string, m *oauth.Method) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.documents == nil {
		p.documents, p.keys = make(map[string]publishedDocument), make(map[string]*publishedKeys)
	}
	if err := p.addDocument(datasource, m); err != nil {
		return err
	}
	return p.addKeys(datasource, m)
}

func (p *published) addDocument(datasource string, m *oauth.Method) error {
	doc := oauth.DocumentOf(m)
	if doc == nil {
		return nil
	}
	mine := publishedDocument{datasource, doc.Name, doc.ClientAuth}
	first, known := p.documents[doc.ClientID]
	if !known {
		p.documents[doc.ClientID] = mine
		return nil
	}
	option, a, b := "client_auth", first.auth, mine.auth
	if a == b {
		option, a, b = "client_name", first.name, mine.name
	}
	if a == b {
		return nil
	}
	return fmt.Errorf("auth oauth2: %s: the datasources %q and %q share the Client ID Metadata Document %s, which cannot say both %q and %q; "+
		"write the same in both, give one a redirect_url that leads to another console, or write registration dynamic in one",
		option, first.datasource, datasource, doc.ClientID, a, b)
}

func (p *published) addKeys(datasource string, m *oauth.Method) error {
	keys, err := oauth.PublicKeys(m)
	if err != nil {
		return nil //nolint:nilerr // it is told where the key is used
	}
	u, err := url.Parse(m.Console())
	if err != nil {
		return nil //nolint:nilerr // the redirect URL was checked before
	}
	for i := range keys {
		id := keys[i].KeyID
		mine := publishedKey{datasource, strings.ToLower(u.Hostname()), oauth.Thumbprint(&keys[i]), oauth.NamesKeys(m)}
		if p.keys[id] == nil {
			p.keys[id] = new(publishedKeys)
		}
		if other := p.keys[id].add(mine); other != nil {
			return fmt.Errorf("auth oauth2: key_id: the datasources %q and %q publish different keys as %q at one address, "+
				"and a provider that fetches them there may take the wrong one; "+
				"give each another key_id, or none (the key's thumbprint stands for it)", other.datasource, datasource, id)
		}
	}
	return nil
}
