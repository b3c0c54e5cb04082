// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"runtime"
)

var errNoBrowser = errors.New("there is no browser here")

// openBrowser has the desktop open a page. It does not wait for the page. On a machine without a
// desktop, and over SSH, where the page would open on somebody else's screen, it returns an error.
func openBrowser(ctx context.Context, page string) error {
	if u, err := url.Parse(page); err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return errNoBrowser // an opener would start whatever belongs to the scheme
	}
	if os.Getenv("SSH_CONNECTION") != "" {
		return errNoBrowser
	}
	opener := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		opener = []string{"open"}
	case "windows":
		opener = []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return errNoBrowser
		}
	}
	path, err := exec.LookPath(opener[0])
	if err != nil {
		return errNoBrowser
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, append(opener[1:], page)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}
