// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// warnLiterals warns of secrets that stand in the configuration as they are, once for each option
// of a datasource.
func (ds *datasource) warnLiterals(logger *zap.Logger, d *Datasource) {
	var options []string
	for _, guest := range []any{ds.method, ds.signer} {
		if g, ok := guest.(interface{ Literals() []string }); ok {
			options = append(options, g.Literals()...)
		}
	}
	options = slices.Concat(options, d.Headers.Literals("header"), d.Query.Literals("query"))
	for _, option := range options {
		ds.site.app.warnLiteral(logger, ds.name, option)
	}
}

// warnLiteral warns of a secret that stands in the configuration, unless it has done so already.
// datasource is "" for an option of the app itself.
func (a *App) warnLiteral(logger *zap.Logger, datasource, option string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := datasource + " " + option
	if slices.Contains(a.told, told) {
		return
	}
	a.told = append(a.told, told)
	fields := []zap.Field{zap.String("option", option)}
	if datasource != "" {
		fields = append(fields, zap.String("datasource", datasource))
	}
	logger.Warn("a secret stands in the configuration itself ({$NAME} puts it there too): caddy adapt prints it, the admin API shows it, and "+
		"Caddy saves it to disk; write {env.NAME} or {file./path}, or seal it with caddy authenticated-api seal", fields...)
}

// isLiteralKey reports whether a PEM text in the configuration has a private key in it.
func isLiteralKey(text string) bool {
	return value.IsLiteral(text) && strings.Contains(text, "PRIVATE KEY-----")
}
