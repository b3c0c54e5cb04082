// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// scheme shows the tab's pages as to a reader who prefers dark colours, or light ones.
func (b *tab) scheme(t testing.TB, dark bool) {
	t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: value},
		// Otherwise colours would be checked in the middle of a transition.
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// size gives the tab's window another size.
func (b *tab) size(t testing.TB, width, height int) {
	t.Helper()
	b.do(t, "resizing", chromedp.EmulateViewport(int64(width), int64(height)))
}

// screenshot writes what the tab shows in a window of that size as a PNG file to the folder that
// the environment variable SCREENSHOTS names, or to .cache/screenshots of the checkout. With the
// height 0 the window is as high as the page.
func (b *tab) screenshot(t testing.TB, name string, width, height int, dark bool) {
	t.Helper()
	b.scheme(t, dark)
	b.size(t, width, max(height, 100))
	if height == 0 {
		b.size(t, width, int(math.Ceil(eval[float64](t, b, "document.documentElement.scrollHeight"))))
	}
	// A column that is squeezed breaks words, which are to be broken only where a name is longer
	// than the page is wide.
	const squeezed = `[...document.querySelectorAll("summary h3")].filter(e => e.clientWidth < 9 * 16 && e.scrollHeight > 40).length`
	if n := eval[float64](t, b, squeezed); n > 0 {
		t.Errorf("%s: %v names have too little room", name, n)
	}
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		folder = filepath.Join("..", "..", ".cache", "screenshots")
	}
	b.capture(t, filepath.Join(folder, name+".png"))
	b.do(t, "resizing", chromedp.ResetViewport())
}

// capture writes what the tab shows to a PNG file, and returns how many bytes it has.
func (b *tab) capture(t testing.TB, file string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil {
		t.Fatalf("the picture %s: %v", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, res.Data, 0o644); err != nil {
		t.Fatal(err)
	}
	return len(res.Data)
}

// pictures is the folder of the pictures of the documentation. It is "" unless they are to be made
// anew (make pictures).
func pictures() string { return os.Getenv("PICTURES") }

// picture writes what the tab shows as a picture of the documentation, if these are to be made
// anew. With the height 0 it is as high as the page.
func (b *tab) picture(t testing.TB, name string, height int) {
	t.Helper()
	if pictures() == "" {
		return
	}
	const width, most = 860, 150_000
	b.scheme(t, false)
	b.size(t, width, max(height, 100))
	if height == 0 {
		b.size(t, width, eval[int](t, b, "Math.ceil(document.querySelector('main').getBoundingClientRect().bottom + window.scrollY) - 32"))
	}
	eval[any](t, b, "window.scrollTo(0, 0)") // the address may lead to a card
	if n := b.capture(t, filepath.Join(pictures(), name+".png")); n > most {
		t.Errorf("the picture %s has %d bytes, more than %d", name, n, most)
	}
	b.do(t, "resizing", chromedp.ResetViewport())
}
