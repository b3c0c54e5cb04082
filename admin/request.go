// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

func badRequest(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf(format, args...)}
}

// readJSON reads the body of a request, of limit bytes at most. The request must say that the body
// is JSON. A form of another site's page, which a browser sends without asking, cannot say that.
// want shows what the body should be.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, to any, want string) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return caddy.APIError{
			HTTPStatus: http.StatusUnsupportedMediaType,
			Err:        errors.New("the body must be JSON; send it with Content-Type: application/json"),
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return badRequest("the body is more than %d bytes", limit)
	}
	if err != nil {
		return badRequest("reading the body: %w", err)
	}
	if !utf8.Valid(body) { // the decoder would replace the bytes, and so name another connection
		return badRequest("the body is not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return badRequest("the body: %w; send %s", err, want)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body: something follows the object; send %s", want)
	}
	return nil
}
