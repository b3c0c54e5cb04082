// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// values are the operator's header fields and query parameters, as their files were when they were
// read.
//
// The rule: whatever a request carries may come from a file, and an API that refuses the request
// does not say what it has refused. APIs that want two secrets at once have one in auth and one in
// header. So all files of auth, header, query and signature are read again together, and the
// request is sent again if any file has changed. Only a request that is refused has files read.
type values struct {
	headers *edit.Header
	query   *edit.Query
	secrets []string // what they put on every request and no answer may show
}

// newValues resolves the placeholders of both edits as of now.
func newValues(headers, query *edit.Edits) (*values, error) {
	v := new(values)
	var err error
	if v.headers, err = edit.NewHeader(headers); err != nil {
		return nil, err
	}
	if v.query, err = edit.NewQuery(query); err != nil {
		return nil, err
	}
	inHeader, err := headers.Secrets("header")
	if err != nil {
		return nil, err
	}
	inQuery, err := query.Secrets("query")
	v.secrets = append(inHeader, inQuery...)
	return v, err
}

// loadValues resolves the values, and sees to it that they can be resolved again.
func (ds *datasource) loadValues(ctx caddy.Context, d *Datasource) error {
	headers, err := d.Headers.Unseal(ctx, "header")
	if err != nil {
		return err
	}
	query, err := d.Query.Unseal(ctx, "query")
	if err != nil {
		return err
	}
	load := func() (*values, error) { return newValues(headers, query) }
	v, err := load()
	if err != nil {
		return err
	}
	ds.values.Store(v)
	if ds.files = append(headers.Files(), query.Files()...); len(ds.files) > 0 {
		ds.load = load
	}
	if signer, ok := ds.signing.module().(signature.Renewer); ok && signer.Renewable() {
		ds.renewer, ds.files = signer, append(ds.files, signer.Files()...)
	}
	return nil
}

// renewable reports whether anything that requests carry can change. It is constant.
func (ds *datasource) renewable() bool {
	return ds.method.Renewable() || ds.load != nil || ds.renewer != nil
}

// renew is called when the API has refused a request that carried refused and sent. It returns
// newer ones, or refused and sent themselves if there is nothing newer. What cannot be renewed
// stays in use, and the rest is renewed nevertheless.
func (ds *datasource) renew(
	ctx context.Context, source auth.Source, refused *auth.Credential, sent *values,
) (*auth.Credential, *values, error) {
	current, errFiles := ds.reread(sent)
	if !ds.method.Renewable() {
		return refused, current, errFiles
	}
	fresh, errSource := source.Refresh(ctx, refused)
	if errSource != nil {
		fresh = refused
	}
	return fresh, current, errors.Join(errFiles, errSource)
}

// reread reads the files of header, query and signature again, unless another request has done so
// since the request that carried sent.
func (ds *datasource) reread(sent *values) (*values, error) {
	if ds.load == nil && ds.renewer == nil {
		return sent, nil
	}
	ds.reading.Lock()
	defer ds.reading.Unlock()
	current := ds.values.Load()
	if current != sent {
		return current, nil
	}
	next := *current
	changed := false
	var errValues, errSigner error
	if ds.load != nil {
		var read *values
		if read, errValues = ds.load(); errValues == nil && !reflect.DeepEqual(read, current) {
			next, changed = *read, true
			// An answer to an earlier request may come yet.
			ds.response.SetSecrets(append(read.secrets, current.secrets...))
		}
	}
	if ds.renewer != nil {
		var renewed bool
		renewed, errSigner = ds.renewer.Renew()
		changed = changed || renewed
	}
	err := errors.Join(errValues, errSigner)
	if err != nil {
		err = fmt.Errorf("reading the files of header, query and signature again: %w", err)
	}
	if !changed {
		return current, err
	}
	ds.values.Store(&next)
	return &next, err
}

// renewal returns a function that renews, in the background, what a request has carried. The
// answer to that request does not wait for it: the next request shall be served.
func (x *exchange) renewal(ctx context.Context, logger *zap.Logger) func() {
	ds, source, refused, sent := x.ds, x.source, x.credential, x.values
	return func() {
		go func() {
			if _, _, err := ds.renew(context.WithoutCancel(ctx), source, refused, sent); err != nil {
				ds.notRenewed(logger, err)
			}
		}()
	}
}

func (ds *datasource) notRenewed(logger *zap.Logger, err error) {
	logger.Warn("the API refused the credential, and no fresh one could be had",
		zap.String("datasource", ds.name), zap.Error(err))
}

// evaluate fills in the placeholders of a request and puts the outcome into its exchange.
func (v *values) evaluate(x *exchange, req *http.Request) error {
	repl := func() *caddy.Replacer { return req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer) }
	fields, err := v.headers.Evaluate(repl)
	if err != nil {
		return err
	}
	x.values, x.fields, x.params = v, fields, v.query.Evaluate(repl)
	return nil
}
