// SPDX-License-Identifier: Apache-2.0

package provider

// override puts the operator's own parameters and header fields into a token request, in the place
// of those of this package: Zoom has a grant_type of its own, Zoho wants commas between scopes,
// and some servers behind a gateway want its key. Refresh requests keep their grant_type, since
// the override is about how a grant begins.
func (a *attempt) override() {
	for name, val := range a.cfg.TokenParams {
		if name == "grant_type" && a.refresh {
			continue
		}
		a.form.Set(name, val)
	}
	for name, val := range a.cfg.TokenHeader {
		a.header.Set(name, val)
	}
}

// parse reads an answer to the attempt.
func (a *attempt) parse(body []byte) (*Answer, error) {
	paths := a.cfg.Answer
	got, err := paths.read(body)
	if a.refresh && paths != (AnswerPaths{}) && (err != nil || !got.issued && got.errorCode == "") {
		// Slack answers a refresh of a user's token with the token at the top.
		if plain, plainErr := parseAnswer(body); plainErr == nil && plain.issued {
			return plain, nil
		}
	}
	return got, err
}
