// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"maps"
	"net/http"

	"github.com/dunglas/httpsfv"
)

// parameters are those of one signature (RFC 9421 §2.3).
type parameters struct {
	created, expires int64
	nonce            string
}

// sign returns the fields that a signer adds to a request.
func (m *HTTPMessage) sign(out *Outgoing, p parameters) (http.Header, error) {
	key := m.current.Load()
	added := make(http.Header, len(m.fields))
	if err := m.digest(out, added); err != nil {
		return nil, err
	}
	if key.agent != "" {
		agent := httpsfv.NewDictionary()
		agent.Add(m.label, httpsfv.NewItem(key.agent))
		text, err := httpsfv.Marshal(agent)
		if err != nil {
			return nil, fmt.Errorf("encoding Signature-Agent: %w", err)
		}
		added["Signature-Agent"] = []string{text}
	}
	if m.Nonce {
		p.nonce = rand.Text()
	}
	sent := *out
	sent.Request = new(http.Request)
	*sent.Request = *out.Request
	sent.Header = out.Header.Clone()
	maps.Copy(sent.Header, added)
	base, list, err := m.base(&sent, key, p)
	if err != nil {
		return nil, err
	}
	sum, err := key.sign(base)
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", key.algorithm, err)
	}
	for name, member := range map[string]httpsfv.Member{"Signature-Input": list, "Signature": httpsfv.NewItem(sum)} {
		dictionary := httpsfv.NewDictionary()
		dictionary.Add(m.label, member)
		text, err := httpsfv.Marshal(dictionary)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
		added[name] = []string{text}
	}
	return added, nil
}

// base returns the signature base (RFC 9421 §2.5), and the list of what it covers.
func (m *HTTPMessage) base(out *Outgoing, key *messageKey, p parameters) ([]byte, httpsfv.InnerList, error) {
	list := httpsfv.InnerList{Params: httpsfv.NewParams()}
	var base []byte
	for _, c := range m.parts {
		val, ok := c.valueIn(out)
		if !ok {
			continue
		}
		list.Items = append(list.Items, c.item)
		base = append(append(append(append(base, c.text...), ": "...), val...), '\n')
	}
	list.Params.Add("created", p.created)
	if p.expires != 0 {
		list.Params.Add("expires", p.expires)
	}
	for _, param := range [][2]string{{"keyid", key.id}, {"alg", key.algorithm}, {"nonce", p.nonce}, {"tag", key.tag}} {
		if param[1] != "" {
			list.Params.Add(param[0], param[1])
		}
	}
	text, err := httpsfv.Marshal(httpsfv.List{list})
	if err != nil {
		return nil, list, fmt.Errorf("encoding Signature-Input: %w", err)
	}
	return append(append(base, `"@signature-params": `...), text...), list, nil
}

// digest adds the digest of the body (RFC 9530 §2), if it is covered and there is a body.
func (m *HTTPMessage) digest(out *Outgoing, added http.Header) error {
	if m.hash == "" || out.ContentLength == 0 || out.Body == nil {
		return nil
	}
	content, err := out.Content()
	if err != nil {
		return err
	}
	if out.ContentLength < 0 && len(out.Trailer) == 0 {
		out.ContentLength, out.TransferEncoding = int64(len(content)), nil
	}
	var sum []byte
	if m.hash == "sha-512" {
		s := sha512.Sum512(content)
		sum = s[:]
	} else {
		s := sha256.Sum256(content)
		sum = s[:]
	}
	dictionary := httpsfv.NewDictionary()
	dictionary.Add(m.hash, httpsfv.NewItem(sum))
	text, err := httpsfv.Marshal(dictionary)
	if err != nil {
		return fmt.Errorf("encoding Content-Digest: %w", err)
	}
	added["Content-Digest"] = []string{text}
	return nil
}
