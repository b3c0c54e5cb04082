// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"strings"
	"testing"
)

// TestIntoCatalogues: each handler that sends requests itself becomes the entry of a catalogue,
// with its name and all its options, wherever it stands. Others stay as they are.
func TestIntoCatalogues(t *testing.T) {
	const before = `{"routes":[` +
		`{"handle":[{"auth":{"token":"t"},"base_url":"http://127.0.0.1:81/v1","handler":"authenticated_api","name":"crm","transport":{"replay":12345678901234567}}]},` +
		`{"handle":[{"handler":"subroute","routes":[{"handle":[{"base_url":"https://api.example/","handler":"authenticated_api","transport":{}}]}]}]},` +
		`{"handle":[{"base_url":"http://127.0.0.1:82","handler":"authenticated_api"},{"handler":"reverse_proxy"}]},` +
		`{"handle":[{"base_url":"no URL","handler":"authenticated_api","transport":{}}]}]}`
	const after = `{"routes":[` +
		`{"handle":[{"apis":{"crm":{"auth":{"token":"t"},"base_url":"http://127.0.0.1:81/v1","transport":{"replay":12345678901234567}}},"handler":"authenticated_apis","name":"crm{http.vars.none}"}]},` +
		`{"handle":[{"handler":"subroute","routes":[{"handle":[{"apis":{"api-example":{"base_url":"https://api.example/","transport":{}}},"handler":"authenticated_apis","name":"api-example{http.vars.none}"}]}]}]},` +
		`{"handle":[{"base_url":"http://127.0.0.1:82","handler":"authenticated_api"},{"handler":"reverse_proxy"}]},` +
		`{"handle":[{"base_url":"no URL","handler":"authenticated_api","transport":{}}]}]}`
	got, err := intoCatalogues([]byte(before))
	if err != nil || string(got) != after {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.ReplaceAll(string(got), `{"handle"`, "\n"+`{"handle"`), after)
	}
}
