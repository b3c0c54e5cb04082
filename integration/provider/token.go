// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"
)

// token is the token endpoint.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.record(&p.forms, posted(r))
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
	switch rewrite, drop := p.nextAnswer(); {
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

// rewritten answers with what the server answers, changed.
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
	p.record(&p.revocations, posted(r))
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
