// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// failure is an answer that a token request gets in place of being processed.
type failure struct {
	status int
	body   string
	fields http.Header
}

// SetRewrite has f change every answer to a token request, for what zitadel's server does not
// send and others do. Nil stops that.
func (p *Provider) SetRewrite(f func(answer map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewrite = f
}

// FailNext answers the next token request so, without processing it. Calls add up. fields are
// names and values of header fields in turn, such as Retry-After.
func (p *Provider) FailNext(status int, body string, fields ...string) {
	f := failure{status: status, body: body, fields: http.Header{}}
	if strings.HasPrefix(body, "{") {
		f.fields.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(fields, 2) {
		f.fields.Set(pair[0], pair[1])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, f)
}

// FailNoMore forgets the failures that FailNext has announced and that have not come yet.
func (p *Provider) FailNoMore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = nil
}

// DropAnswer processes the next n token requests, so that codes and refresh tokens are spent and
// new ones issued, and cuts the connection in place of answering: what a client sees when the
// network fails at the worst moment.
func (p *Provider) DropAnswer(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops = n
}

// token is the token endpoint.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	form := posted(r)
	p.mu.Lock()
	p.forms = append(p.forms, form)
	p.mu.Unlock()
	p.Requests.Add(1)
	select {
	case <-time.After(time.Duration(p.Delay.Load())):
	case <-r.Context().Done(): // a caller that was killed gets no token
		return
	}
	if f, ok := p.nextFailure(); ok {
		maps.Copy(w.Header(), f.fields)
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.body))
		p.Answered.Add(1)
		return
	}
	p.mu.Lock()
	rewrite, drop := p.rewrite, p.drops > 0
	if drop {
		p.drops--
	}
	p.mu.Unlock()
	switch {
	case drop:
		p.server.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case rewrite != nil:
		p.rewritten(w, r, rewrite)
	default:
		p.server.ServeHTTP(w, r)
	}
	p.Answered.Add(1)
}

func (p *Provider) nextFailure() (f failure, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.failures) > 0 {
		f, p.failures = p.failures[0], p.failures[1:]
		return f, true
	}
	status := int(p.Status.Load())
	return failure{status: status, body: "come again\n"}, status != 0
}

func (p *Provider) rewritten(w http.ResponseWriter, r *http.Request, rewrite func(map[string]any)) {
	rec := httptest.NewRecorder()
	p.server.ServeHTTP(rec, r)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	rewrite(answer)
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body) //nolint:gosec // G705: JSON
}

// revocation is the revocation endpoint, RFC 7009.
func (p *Provider) revocation(w http.ResponseWriter, r *http.Request) {
	form := posted(r)
	p.mu.Lock()
	p.revocations = append(p.revocations, form)
	p.mu.Unlock()
	p.Revocations.Add(1)
	if status := int(p.RevokeStatus.Load()); status != 0 {
		http.Error(w, "come again", status)
		return
	}
	p.server.ServeHTTP(w, r)
}

// posted returns the form of a request, with the Authorization field as a value of that name.
func posted(r *http.Request) url.Values {
	_ = r.ParseForm()
	form := url.Values{}
	maps.Copy(form, r.PostForm)
	if field := r.Header.Get("Authorization"); field != "" {
		form.Set("Authorization", field)
	}
	return form
}

// WantRequests fails the test unless that many token requests have come since Requests was last
// set to zero.
func (p *Provider) WantRequests(t testing.TB, want int64) {
	t.Helper()
	if got := p.Requests.Load(); got != want {
		t.Errorf("%d token requests have come, want %d", got, want)
	}
}

// Forms returns what the token requests have said, with the Authorization field as
// "Authorization".
func (p *Provider) Forms() []url.Values { return p.recorded(&p.forms) }

// AuthorizationRequests returns the parameters of the authorization requests that have come.
func (p *Provider) AuthorizationRequests() []url.Values { return p.recorded(&p.authorizations) }

// RevocationForms is Forms for revocation requests.
func (p *Provider) RevocationForms() []url.Values { return p.recorded(&p.revocations) }

func (p *Provider) recorded(list *[]url.Values) []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(*list)
}

// LastForm returns what the last token request has said.
func (p *Provider) LastForm(t testing.TB) url.Values {
	t.Helper()
	forms := p.Forms()
	if len(forms) == 0 {
		t.Fatal("no token request has come")
	}
	return forms[len(forms)-1]
}
