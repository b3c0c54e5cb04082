// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/url"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func baseURL(t testing.TB, text string) *wire.BaseURL {
	t.Helper()
	base, err := wire.ParseBaseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// newRoute returns the way of a request for path from a caller who has called
// https://gw.example.com. The route is below prefix; at the root of its site prefix is empty. Base
// URL, query options and credential are those of docs/links.md, and the credential is in the
// parameter api_key.
func newRoute(t testing.TB, prefix, path string) *link.Route {
	t.Helper()
	query, err := edit.NewQuery(&edit.Edits{Set: map[string][]string{"tenant": {"acme"}}, Add: map[string][]string{"tag": {"x"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &link.Route{
		Base: baseURL(t, "https://api.example.com/v2?format=json"), Origin: "https://gw.example.com",
		Hosts: [2]string{"gw.example.com"}, Names: [2]string{"api.example.com", "10.0.0.7:8443"},
		Prefix: prefix, Known: true, Path: path,
		Params: query.Evaluate(nil), Param: wire.NewParamNames("api_key"),
	}
	r.Sent = r.Base.Join(&url.URL{Path: path})
	return r
}
