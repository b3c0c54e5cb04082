// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is a tab of a browser.
type tab struct {
	ctx context.Context

	mu             sync.Mutex
	messages       []string // of the console
	urls           []string // of the pages that were asked for
	user, password string
	asked          map[fetch.RequestID]bool
}

func openTab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(parent, options...)
	b := &tab{ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("a tab shows %s:\n%s\n%s", b.location(t), b.text(t), strings.Join(b.console(), "\n"))
		}
		leave()
	})
	// The tab lives as long as the context of the first call, so that has no deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	messages, requests := chromedp.Console(ctx), chromedp.Events(ctx, network.RequestWillBeSent)
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			if e.Type == network.ResourceTypeDocument {
				b.mu.Lock()
				b.urls = append(b.urls, e.Request.URL)
				b.mu.Unlock()
			}
		}
	}()
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.messages = append(b.messages, m.String())
			b.mu.Unlock()
		}
	}()
	return b
}

// newTab opens another tab of the same browser.
func (b *tab) newTab(t testing.TB) *tab {
	t.Helper()
	return openTab(t, b.ctx)
}

// do runs actions, which must end in time.
func (b *tab) do(t testing.TB, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// navigate is do for an action that leads to another page; it returns the response with that page.
func (b *tab) navigate(t testing.TB, what string, action chromedp.Action[chromedp.Void]) *network.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, action)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return res
}

// eval returns the value of a JavaScript expression, as the developer tools do: whatever the
// page's policy is.
func eval[T any](t testing.TB, b *tab, expression string) T {
	t.Helper()
	value, err := try[T](b, expression)
	if err != nil {
		t.Errorf("evaluating %.60q: %v", expression, err)
	}
	return value
}

// try is eval where the page may just be leaving.
func try[T any](b *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// open opens a URL, follows redirects, and returns the response with the page.
func (b *tab) open(t testing.TB, url string) *network.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.Run(ctx, chromedp.NavigateResponse(url))
	if err != nil {
		t.Fatalf("opening %s: %v", url, err)
	}
	return res
}

// click clicks on the first button or link with a visible text, and returns the response with the
// page to which it leads.
func (b *tab) click(t testing.TB, text string) *network.Response {
	t.Helper()
	return b.navigate(t, "clicking on "+text, b.press(t, labelled(text)))
}

// clickCSS is click for the first element that a selector selects.
func (b *tab) clickCSS(t testing.TB, selector string) *network.Response {
	t.Helper()
	return b.navigate(t, "clicking on "+selector, b.press(t, selected(selector)))
}

// doubleClick clicks twice on what a selector selects, the second time before the first one can
// have shown another page. It waits for nothing.
func (b *tab) doubleClick(t testing.TB, selector string) {
	t.Helper()
	x, y := b.where(t, selected(selector))
	for _, count := range []int64{1, 2} {
		for _, kind := range []input.DispatchMouseEventType{chromedp.MousePressed, chromedp.MouseReleased} {
			ctx, cancel := context.WithTimeout(b.ctx, patience)
			_, err := chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
				Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: count,
			})
			cancel()
			if err != nil {
				t.Logf("clicking twice on %s: %v", selector, err) // the page may be gone
			}
		}
	}
}

// toggle clicks on the first button, link, label or summary with a visible text that leads to no
// other page.
func (b *tab) toggle(t testing.TB, text string) {
	t.Helper()
	b.do(t, "clicking on "+text, b.press(t, labelled(text)))
}

// fill puts a text into the input that a selector selects, in place of what is there.
func (b *tab) fill(t testing.TB, selector, text string) {
	t.Helper()
	b.do(t, "filling in "+selector, b.press(t, selected(selector)))
	eval[any](t, b, "document.activeElement.select()")
	b.do(t, "filling in "+selector, chromedp.KeyEvent(kb.Delete))
	if _, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		t.Fatalf("filling in %s: %v", selector, err)
	}
}

// labelled returns the expression for the element with that text that can be clicked.
func labelled(text string) string {
	return fmt.Sprintf("[...document.querySelectorAll('button, a, summary, label')].find(e => e.checkVisibility() && e.innerText.trim() == %s)", quoted(text))
}

// selected returns the expression of the first element that a selector selects.
func selected(selector string) string { return "document.querySelector(" + quoted(selector) + ")" }

// quoted returns a text as a string of JavaScript.
func quoted(text string) string {
	literal, _ := json.Marshal(text)
	return string(literal)
}

// press returns the action that presses the mouse's button where an element is.
func (b *tab) press(t testing.TB, element string) chromedp.Action[chromedp.Void] {
	t.Helper()
	x, y := b.where(t, element)
	return chromedp.MouseClickXY(x, y)
}

// where returns where an element is, now or soon. chromedp finds no element any more in a page
// that the browser has kept for its back button, so this asks the page itself.
func (b *tab) where(t testing.TB, element string) (x, y float64) {
	t.Helper()
	find := fmt.Sprintf(`(() => {
		const e = %s
		if (!e) return null
		e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})
		const r = e.getClientRects()[0]
		if (!r) return null
		const x = r.x + r.width / 2, y = r.y + r.height / 2
		return e.contains(document.elementFromPoint(x, y)) ? [x, y] : null
	})()`, element)
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		if at, err := try[[]float64](b, find); err == nil && at != nil {
			return at[0], at[1]
		}
	}
	t.Fatalf("nobody can click on %s", element)
	return 0, 0
}

// back is the browser's button. It shows the page as it was left, if the browser has kept it, and
// asks for it again if not.
func (b *tab) back(t testing.TB) {
	t.Helper()
	// chromedp's own way back waits for a response, which does not come for a page that the
	// browser has kept.
	history, err := chromedp.Call(b.ctx, page.GetNavigationHistory, cdp.Empty{})
	if err != nil || history.CurrentIndex < 1 {
		t.Fatalf("there is no page to go back to, %v", err)
	}
	entry := history.Entries[history.CurrentIndex-1]
	if _, err = chromedp.Call(b.ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID}); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(20 * time.Millisecond) {
		now, err := chromedp.Call(b.ctx, page.GetNavigationHistory, cdp.Empty{})
		if err != nil || now.Entries[now.CurrentIndex].ID != entry.ID {
			continue
		}
		if complete, err := try[bool](b, "document.readyState == 'complete'"); err == nil && complete {
			return
		}
	}
	t.Fatalf("the page %s does not come back", entry.URL)
}

// reload is the browser's button.
func (b *tab) reload(t testing.TB) {
	t.Helper()
	b.do(t, "reloading", chromedp.Reload())
}

const innerText = "document.body ? document.body.innerText : ''"

// text returns what a reader sees of the page.
func (b *tab) text(t testing.TB) string {
	t.Helper()
	return eval[string](t, b, innerText)
}

// wantText fails the test unless the page shows every one of the texts, now or soon.
func (b *tab) wantText(t testing.TB, texts ...string) {
	t.Helper()
	b.wantShown(t, fmt.Sprintf("%q", texts), func(got string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(got, text) })
	})
}

// wantEither fails the test unless the page shows one of the texts, now or soon, and returns the
// text that it shows.
func (b *tab) wantEither(t testing.TB, texts ...string) (shown string) {
	t.Helper()
	b.wantShown(t, fmt.Sprintf("one of %q", texts), func(got string) bool {
		i := slices.IndexFunc(texts, func(text string) bool { return strings.Contains(got, text) })
		if i >= 0 {
			shown = texts[i]
		}
		return i >= 0
	})
	return shown
}

func (b *tab) wantShown(t testing.TB, what string, shows func(string) bool) {
	t.Helper()
	var got string
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		got, _ = try[string](b, innerText)
		if shows(got) {
			return
		}
	}
	t.Fatalf("the page shows %q, want %s", got, what)
}

// location returns the URL that the address bar shows.
func (b *tab) location(t testing.TB) string {
	t.Helper()
	return eval[string](t, b, "location.href")
}

// cookies returns the cookies that the browser would send to the page's URL, also those that
// scripts do not see.
func (b *tab) cookies(t testing.TB) []*network.Cookie {
	t.Helper()
	res, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	return res.Cookies
}

// console returns what the browser has written to the tab's console: violations of the page's
// policy, for example.
func (b *tab) console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// requested returns the URLs that the tab has asked for as pages, redirects among them.
func (b *tab) requested() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.urls)
}

// trust has the tab accept any certificate.
func (b *tab) trust(t testing.TB) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}); err != nil {
		t.Fatal(err)
	}
}

// login answers servers' requests for a user and a password (HTTP Basic) from now on, in this tab.
// The browser remembers for each server what it accepted, so another user needs another browser.
func (b *tab) login(t testing.TB, user, password string) {
	t.Helper()
	b.mu.Lock()
	first := b.asked == nil
	b.asked = map[fetch.RequestID]bool{}
	b.user, b.password = user, password
	b.mu.Unlock()
	if !first {
		return
	}
	paused, asked := chromedp.Events(b.ctx, fetch.RequestPaused), chromedp.Events(b.ctx, fetch.AuthRequired)
	go func() {
		for e, err := range paused {
			if err != nil {
				return
			}
			_, _ = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID})
		}
	}()
	go func() {
		for e, err := range asked {
			if err != nil {
				return
			}
			_, _ = chromedp.Call(b.ctx, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{RequestID: e.RequestID, AuthChallengeResponse: b.answer(e.RequestID)})
		}
	}()
	all := true
	if _, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &all}); err != nil {
		t.Fatal(err)
	}
}

// answer is the answer to a server that asks who it is: once for each request, as a server that
// asks again has refused it.
func (b *tab) answer(id fetch.RequestID) *fetch.AuthChallengeResponse {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked[id] {
		return &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseCancelAuth}
	}
	b.asked[id] = true
	return &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: b.user, Password: b.password}
}
