// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"testing"
)

// all are the problems by their names in list.go, each with the code and the status that callers
// rely on.
var all = map[string]struct {
	problem *Problem
	code    string
	status  int
}{
	"BadPath":              {BadPath, "bad-path", 400},
	"Outside":              {Outside, "bad-path", 400},
	"UnknownAPI":           {UnknownAPI, "unknown-api", 404},
	"BadValue":             {BadValue, "bad-value", 400},
	"TooManyFields":        {TooManyFields, "too-many-fields", 431},
	"TooManyParams":        {TooManyParams, "too-many-params", 400},
	"Method":               {Method, "method-not-allowed", 405},
	"CrossOrigin":          {CrossOrigin, "cross-origin", 403},
	"Worker":               {Worker, "cross-origin", 403},
	"UnknownHost":          {UnknownHost, "unknown-host", 403},
	"TokenUnavailable":     {TokenUnavailable, "token-unavailable", 503},
	"TokenRejected":        {TokenRejected, "token-rejected", 502},
	"KeyMissing":           {KeyMissing, "key-missing", 503},
	"Identity":             {Identity, "identity-required", 401},
	"Authorization":        {Authorization, "authorization-required", 503},
	"OwnAuthorization":     {OwnAuthorization, "authorization-required", 401},
	"Signature":            {Signature, "signature", 502},
	"NoSession":            {NoSession, "no-session", 502},
	"NoProxy":              {NoProxy, "no-session", 502},
	"Redirect":             {Redirect, "redirect", 502},
	"FieldTwice":           {FieldTwice, "field-twice", 400},
	"Refused":              {Refused, "credential-refused", 502},
	"NoMetadata":           {NoMetadata, "no-oauth", 404},
	"TooLarge":             {TooLarge, "too-large", 413},
	"SignedChunks":         {SignedChunks, "signed-chunks", 400},
	"NoSubject":            {NoSubject, "identity-required", 401},
	"Subject":              {Subject, "subject-token-rejected", 401},
	"Unreachable":          {Unreachable, "api-unreachable", 502},
	"DiscoveryFailed":      {DiscoveryFailed, "discovery-failed", 502},
	"MoreAuthorization":    {MoreAuthorization, "authorization-required", 503},
	"MoreOwnAuthorization": {MoreOwnAuthorization, "authorization-required", 401},
}

// TestList: each problem has its code, its status, and texts that are sentences.
func TestList(t *testing.T) {
	title, detail := regexp.MustCompile(`^[A-Z].*[^.]$`), regexp.MustCompile(`^[A-Z].*\.$`)
	for name, want := range all {
		p := want.problem
		if p.Code() != want.code || p.Status() != want.status {
			t.Errorf("%s is %s with %d, want %s with %d", name, p.Code(), p.Status(), want.code, want.status)
		}
		if !title.MatchString(p.title) || !detail.MatchString(p.detail) {
			t.Errorf("%s has the title %q and the detail %q", name, p.title, p.detail)
		}
		if got := p.Err().Error(); got != p.code+": "+p.detail {
			t.Errorf("%s is the error %q", name, got)
		}
		if p.connectURL != "" || p.oauthError != "" || p.retryAfter != 0 {
			t.Errorf("%s has what belongs to one request: %+v", name, p)
		}
	}
}

// TestListIsWhole: no problem of list.go is missing in the tests.
func TestListIsWhole(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "list.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			n++
			if _, ok := all[spec.Names[0].Name]; !ok {
				t.Errorf("%s has no test", spec.Names[0].Name)
			}
		}
		return true
	})
	if n != len(all) {
		t.Errorf("list.go has %d problems, and %d are tested", n, len(all))
	}
}
