// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// literals warns of secrets that stand in the configuration as they are, once for each option of
// a datasource; of those of a catalogue once for each option. The zero value is ready for use.
type literals struct {
	mu       sync.Mutex
	warned   map[string]bool
	gathered map[string][]string // datasources by option, of a catalogue; nil: of none
}

// maxTold is how many datasources a warning names.
const maxTold = 10

// warn warns of a secret. datasource is "" for the app's own.
func (l *literals) warn(logger *zap.Logger, datasource, option string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gathered != nil {
		l.gathered[option] = append(l.gathered[option], datasource)
		return
	}
	of := datasource + " " + option
	if l.warned[of] {
		return
	}
	if l.warned == nil {
		l.warned = make(map[string]bool)
	}
	l.warned[of] = true
	if datasource == "" {
		warnLiteral(logger, option)
		return
	}
	warnLiteral(logger, option, zap.String("datasource", datasource))
}

// gather keeps the warnings of a catalogue that is provisioned until the function that it returns
// is called: thousands of lines at each load would hide what else is there.
func (l *literals) gather(logger *zap.Logger) (tell func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathered = make(map[string][]string)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, option := range slices.Sorted(maps.Keys(l.gathered)) {
			names := slices.Compact(l.gathered[option]) // header X, and header ?X
			warnLiteral(logger, option, zap.Strings("datasources", names[:min(len(names), maxTold)]), zap.Int("count", len(names)))
		}
		l.gathered = nil
	}
}

func warnLiteral(logger *zap.Logger, option string, of ...zap.Field) {
	logger.Warn("a secret stands in the configuration itself ({$NAME} puts it there too): "+
		"caddy adapt prints it, the admin API shows it, and Caddy saves it to disk; "+
		"write {env.NAME} or {file./path}, or seal it with caddy authenticated-api seal", append(of, zap.String("option", option))...)
}

// warnOf warns of the secrets of a datasource.
func (l *literals) warnOf(logger *zap.Logger, ds *datasource, d *Datasource) {
	var options []string
	guests := make([]any, 0, 1+len(ds.methods))
	guests = append(guests, ds.signing.module())
	for _, m := range ds.methods {
		guests = append(guests, m)
	}
	for _, guest := range guests {
		if g, ok := guest.(interface{ Literals() []string }); ok {
			options = append(options, g.Literals()...)
		}
	}
	options = slices.Concat(options, d.Headers.Literals("header"), d.Query.Literals("query"))
	for _, option := range options {
		l.warn(logger, ds.name, option)
	}
}

// isLiteralKey reports whether a PEM text in the configuration has a private key in it.
func isLiteralKey(text string) bool {
	return value.IsLiteral(text) && strings.Contains(text, "PRIVATE KEY-----")
}
