// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// request returns the request as it goes on the wire: with a form, or with the same parameters as
// a JSON object.
func (a *attempt) request(ctx context.Context, asJSON bool) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint, nil)
	if err != nil {
		return nil, err
	}
	contentType, body := "application/x-www-form-urlencoded", []byte(a.form.Encode())
	if asJSON {
		contentType = "application/json"
		if body, err = formJSON(a.form); err != nil {
			return nil, err
		}
	}
	a.header.Set("Content-Type", contentType)
	req.Header = a.header
	setBody(req, body)
	return req, nil
}

// formJSON returns the parameters as a JSON object. A parameter that is given once is a string.
func formJSON(form url.Values) ([]byte, error) {
	object := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding the token request: %w", err)
	}
	return body, nil
}

// setBody gives a request a body. net/http can send it again, which it does if a connection was
// closed before anything was written to it.
func setBody(req *http.Request, body []byte) {
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(body))
}
