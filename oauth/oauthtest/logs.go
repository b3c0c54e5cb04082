// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Logs is what was logged.
type Logs struct{ *observer.ObservedLogs }

// NewLogger returns a logger, and what it has logged.
func NewLogger() (*zap.Logger, Logs) {
	core, observed := observer.New(zap.DebugLevel)
	return zap.New(core), Logs{observed}
}

// String is every entry, with its fields, as JSON.
func (l Logs) String() string {
	var sb strings.Builder
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range l.All() {
		if line, err := enc.EncodeEntry(entry.Entry, entry.Context); err == nil {
			sb.WriteString(line.String())
		}
	}
	return sb.String()
}
