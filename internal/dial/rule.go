// SPDX-License-Identifier: Apache-2.0

// Package dial decides which addresses are never dialled, and dials all others. It asks the rule
// about the address that it then dials, and not about a name, which might have another address a
// moment later. The package knows no datasource.
package dial

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Rule decides which addresses are never dialled: those that no API can have, those of clouds'
// metadata, and those of Caddy's own admin endpoints.
type Rule struct {
	denyPrivate bool
	allowed     Allowed
	admin       []endpoint
	isLocal     func(netip.Addr) bool // whether an address belongs to this machine
}

// NewRule returns the rule for the configuration that ctx belongs to. adminAddress is an address
// of Caddy's admin endpoint besides those in the configuration; it may be empty. allowed are the
// addresses that the operator allows.
func NewRule(ctx caddy.Context, adminAddress string, denyPrivate bool, allowed Allowed) (*Rule, error) {
	endpoints, err := adminEndpoints(ctx, adminAddress)
	if err != nil {
		return nil, err
	}
	return &Rule{denyPrivate: denyPrivate, allowed: allowed, admin: endpoints, isLocal: isLocal}, nil
}

// deniedError says that an address must not be dialled.
type deniedError struct {
	addr   netip.AddrPort
	reason string
	remedy string // what an operator can do about it, or ""
}

// Error implements error.
func (e *deniedError) Error() string {
	return fmt.Sprintf("%s is never dialled: it is %s", e.addr, e.reason)
}

// check reports why an address must not be dialled: because of what it is, or of what it carries.
func (r *Rule) check(addr netip.AddrPort) error {
	for _, ip := range readings(addr.Addr().Unmap().WithZone("")) {
		if reason := r.reason(ip, addr.Port()); reason != "" {
			return &deniedError{addr, reason, r.remedy(ip, addr.Port())}
		}
	}
	return nil
}

// reason returns why an address must not be dialled, or "". An operator can allow only what can
// be the address of an API: a metadata address if it is named itself, but never the address of no
// host, or of Caddy's admin endpoint.
func (r *Rule) reason(ip netip.Addr, port uint16) string {
	admin := r.adminReason(ip, port)
	switch {
	case ip.IsUnspecified():
		return "the unspecified address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip == broadcast:
		return "the broadcast address"
	case admin != "":
		return admin
	case isMetadata(ip):
		if r.allowed.names(ip) {
			return ""
		}
		return "an address of a cloud's instance metadata, or of an agent that hands out credentials"
	case r.allowed.contains(ip):
		return ""
	case ip.IsLinkLocalUnicast():
		return "a link-local address, where clouds keep the metadata of instances"
	case siteLocal.Contains(ip):
		return "a site-local address (deprecated by RFC 3879)"
	case r.denyPrivate && isPrivate(ip):
		return "a private address, and deny_private is set"
	default:
		return ""
	}
}

// remedy returns what an operator can do to have a refused address dialled, or "".
func (r *Rule) remedy(ip netip.Addr, port uint16) string {
	named := *r
	named.allowed = Allowed{netip.PrefixFrom(ip, ip.BitLen())}
	if named.reason(ip, port) != "" {
		return ""
	}
	return "if the API is meant to be there, name the address in the global option authenticated_api { allow_dial " + ip.String() + " }"
}

// Remedy returns what an operator can do about an address that the rule has refused. For any
// other error it returns "".
func Remedy(err error) string {
	if denied, ok := errors.AsType[*deniedError](err); ok {
		return cmp.Or(denied.remedy, "no API is there; look at what the host of the base URL resolves to")
	}
	return ""
}

// Denied reports whether an error says that an address may not be dialled.
func Denied(err error) bool {
	_, denied := errors.AsType[*deniedError](err)
	return denied
}

func isMetadata(ip netip.Addr) bool {
	return slices.ContainsFunc(metadata, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func isPrivate(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() ||
		slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Dialer returns a dialer that obeys the rule.
func (r *Rule) Dialer() Func {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return r.check(addr)
	}}
	return dialer.DialContext
}
