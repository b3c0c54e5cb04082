// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Allowed are addresses that the operator allows although the rule would refuse them, such as
// those of AWS VPC Lattice (169.254.171.0/24), or of Podman's host (169.254.1.2).
type Allowed []netip.Prefix

// ParseAllowed reads prefixes such as 169.254.171.0/24, and single addresses.
func ParseAllowed(texts []string) (Allowed, error) {
	var allowed Allowed
	for _, text := range texts {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		allowed = append(allowed, prefix)
	}
	return allowed, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "%") {
		return netip.Prefix{}, errors.New("allow_dial: one of them has a zone (%…); an address is allowed on all interfaces, so leave it out")
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("allow_dial: one of them is no address and no prefix; " +
			"write 169.254.171.0/24 or 169.254.1.2 (names are not possible: whoever has the name could lead it elsewhere)")
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, errors.New("allow_dial: a prefix of ::ffff:0:0/96 is shorter than that; write IPv4 addresses as such")
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

func (a Allowed) contains(ip netip.Addr) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// names reports whether an address itself is allowed, and not only a prefix around it. A prefix
// around a metadata address does not allow that address: whoever writes 169.254.0.0/16 for Podman
// does not mean the credentials of the account.
func (a Allowed) names(ip netip.Addr) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return p.IsSingleIP() && p.Addr() == ip })
}
