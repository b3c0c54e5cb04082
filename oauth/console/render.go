// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

//go:embed templates/*.html
var files embed.FS

//go:embed style.css
var style string

var templates = template.Must(template.ParseFS(files, "templates/*.html"))

// policy lets a page load, run and embed nothing but its own style, which is named by its hash.
// There is no form-action, because Chrome applies it to the redirects that follow a form too, and
// those lead to the provider.
var policy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// view is what every page shows around its content.
type view struct {
	Title   string
	Style   template.CSS
	User    string
	Content any
}

// harden sets the header fields of every answer. A Referrer-Policy that is set already stays.
func (v *visit) harden() {
	header := v.w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	// Not no-referrer: with it a browser sends "Origin: null" with the forms (Fetch §3.2).
	if header.Get("Referrer-Policy") == "" {
		header.Set("Referrer-Policy", "same-origin")
	}
}

// render answers with a page.
func (v *visit) render(status int, name, title string, content any) error {
	var body bytes.Buffer
	page := view{
		Title:   title,
		Style:   template.CSS(style), //nolint:gosec // G203: it is a file of this package
		User:    v.user,
		Content: content,
	}
	if err := templates.ExecuteTemplate(&body, name, page); err != nil {
		return fmt.Errorf("making a page: %w", err)
	}
	v.harden()
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	v.w.WriteHeader(status)
	if v.r.Method == http.MethodHead {
		return nil
	}
	_, err := v.w.Write(body.Bytes())
	return err
}

// show answers with a message.
func (v *visit) show(m *message) error {
	shown := *m
	if shown.Link == "" && v.user != "" && v.route.kind != routeCallback && !shown.alone {
		shown.Link = v.route.home()
		if v.about != nil {
			shown.Link = card(shown.Link, v.about, "")
		}
	}
	if shown.LinkText == "" {
		shown.LinkText = "To the connected accounts"
	}
	return v.render(shown.Status, "message.html", shown.Title, shown)
}

// because returns the log fields of a failure. For a failed token request these are all that an
// operator needs to repair it.
func because(ds datasource, err error) []zap.Field {
	fields := []zap.Field{zap.String("datasource", ds.Datasource()), zap.Error(err)}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fields = append(fields, zap.Inline(e))
	}
	return fields
}

// showFailure is show for what has failed at a provider. Operators also see what the provider has
// written about it.
func (v *visit) showFailure(m *message, err error) error {
	shown := *m
	if v.h.operators[v.user] {
		shown.Says, shown.Remedy = says(err), remedy(err)
		if shown.Remedy != "" && shown.Hint == hintLog {
			shown.Hint = hintLogMore
		}
	}
	return v.show(&shown)
}

// says returns what a provider has written about an error, or "".
func says(err error) string {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Description
	}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok {
		return e.Description
	}
	return ""
}

// remedy returns what an operator can do about an error, or "".
func remedy(err error) string {
	if _, early := errors.AsType[*connection.EarlyRefusalError](err); early {
		return "" // nothing has ended
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return toDo(e.Remedy())
	}
	if errors.Is(err, record.ErrKeyMissing) {
		return remedyOfKey
	}
	return ""
}

// toDo returns a remedy, unless it only says that nothing is to be done.
func toDo(remedy string) string {
	if strings.Contains(remedy, "asked again") || strings.Contains(remedy, "nothing is to be done") {
		return ""
	}
	return remedy
}

// refuse is show for what the client did wrong, or the page that has sent it.
func (v *visit) refuse(m *message) error {
	if c := v.logger.Check(zapcore.DebugLevel, "refused a request"); c != nil {
		c.Write(zap.Int("status", m.Status), zap.String("reason", m.Title))
	}
	return v.show(m)
}

func (v *visit) methodNotAllowed(allow string) error {
	v.w.Header().Set("Allow", allow)
	return v.refuse(&messageMethod)
}

// seeOther sends the browser on with a GET. It does not use http.Redirect, which would make the
// address absolute, with a path from which the mount was stripped.
func (v *visit) seeOther(to string) error {
	v.harden()
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}
