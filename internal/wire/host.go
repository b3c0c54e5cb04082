// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// IsAt reports whether a URL is on the host that a Host field names.
func IsAt(u *url.URL, host string) bool {
	if host == "" || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, host) || plainHost(u.Host, u.Scheme) == plainHost(host, u.Scheme)
}

// plainHost returns the same form for all names that mean the same host: in lower case, in ASCII
// (RFC 5891), without the dot at the end of a full name and without the port of the scheme; an
// IPv6 address in the form of RFC 5952.
func plainHost(host, scheme string) string {
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host, port = host[:i], host[i+1:]
	}
	if port == defaultPort(scheme) {
		port = ""
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.String()
	} else if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	return net.JoinHostPort(host, port)
}

// Origin returns the origin of a scheme and a host as browsers write it (RFC 6454 §6.1): without
// the scheme's own port.
func Origin(scheme, host string) string {
	if scheme == "https" || scheme == "http" {
		host = strings.TrimSuffix(host, ":"+defaultPort(scheme))
	}
	return scheme + "://" + host
}

// Hostname returns the host of a Host field in lower case, without its port and without a dot at
// its end.
func Hostname(host string) string {
	if address, ok := strings.CutPrefix(host, "["); ok {
		address, _, _ = strings.Cut(address, "]")
		return address
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsLoopback reports whether a host name or an address is this machine's own.
func IsLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
