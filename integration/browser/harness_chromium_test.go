// SPDX-License-Identifier: Apache-2.0

// Package browser_test looks at the pages of this module as their users do: with Chromium.
//
// The browser is the one that the environment variable CHROMIUM names, or one in PATH. Without
// one the tests are skipped, or fail if CI is "true".
package browser_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// patience is how long a page may take.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	status := rig.Main(m, nil)
	chromium.stop()
	os.Exit(status)
}

// chromium is the browser process, which all tests share.
var chromium process

type process struct {
	once sync.Once
	ctx  context.Context
	end  []context.CancelFunc // in the order of what they end
	err  error
}

// locations are where browsers are, as chromedp knows them, where PATH does not say so.
var locations = map[string][]string{
	"darwin": {"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
	"windows": {
		`C:\Program Files\Google\Chrome\Application\chrome.exe`, `C:\Program Files (x86)\Google\Chrome\Application\chrome.exe`,
		`C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`,
	},
}

// find returns the path of the browser. In a short run it skips the test. Without a browser it
// skips the test, or fails it if CI is "true".
func find(t testing.TB) string {
	t.Helper()
	rig.Long(t, "a browser takes its time")
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range append([]string{"chromium", "chromium-browser", "google-chrome"}, locations[runtime.GOOS]...) {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	rig.Lacking(t, "there is no chromium; install one, or name it in the environment variable CHROMIUM")
	return ""
}

func (p *process) start(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("headless", "new"), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"), chromedp.WSURLReadTimeout(time.Minute))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(allocator)
	p.ctx, p.end = ctx, []context.CancelFunc{end, leave}
	p.err = chromedp.Do(ctx)
}

func (p *process) stop() {
	if p.ctx != nil {
		ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
		_ = chromedp.Cancel(ctx) // waits until the process has ended
		cancel()
	}
	for _, end := range p.end {
		end()
	}
}

// newBrowser returns the first tab of a browser of the test's own: it shares cookies and
// passwords with the tabs that its newTab opens, and with no other. It is closed when the test
// ends, and what it shows is printed if the test has failed.
func newBrowser(t testing.TB) *tab {
	t.Helper()
	path := find(t)
	chromium.once.Do(func() { chromium.start(path) })
	if chromium.err != nil {
		t.Fatalf("starting %s: %v", path, chromium.err)
	}
	return openTab(t, chromium.ctx, chromedp.WithNewBrowserContext())
}
