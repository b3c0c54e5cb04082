// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"io"
	"net/http"
	"testing"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog"
)

// TestTus uploads with tus-js-client to tusd, in pieces that can be resumed at the Location of
// the first answer.
func TestTus(t *testing.T) {
	s := service{start: tusd, lines: "auth bearer " + key + "\npass_request_header X-HTTP-Method-Override"}
	compare(t, "tus", s, func(t *testing.T, w way) transcript { return script(t, "tus.mjs", w) })
}

func tusd(t *testing.T) string {
	composer := handler.NewStoreComposer()
	filestore.New(t.TempDir()).UseIn(composer)
	memorylocker.New().UseIn(composer)
	h, err := handler.NewHandler(handler.Config{
		BasePath: "/files/", StoreComposer: composer, MaxSize: 1 << 30, DisableDownload: true,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, guarded("Authorization", "Bearer "+key, http.StripPrefix("/files/", h)))
}
