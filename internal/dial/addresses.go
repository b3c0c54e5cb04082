// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"net/netip"
	"slices"
)

// metadata are the addresses of clouds' instance metadata, and of agents that hand out
// credentials. AWS uses whole prefixes for them (IMDS, ECS, EKS Pod Identity and its name
// servers), and Azure App Service gives the token endpoint of each sandbox an address of its own.
// The prefixes around the other addresses may have APIs: Oracle's file systems are at
// fd00:c1::a9fe:504, for example, and AWS VPC Lattice is at 169.254.171.0/24.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.0/24"),       // AWS, Google Cloud, Azure and others
	netip.MustParsePrefix("169.254.170.0/24"),       // AWS: ECS, EKS Pod Identity
	netip.MustParsePrefix("169.254.128.0/22"),       // Azure App Service
	netip.MustParsePrefix("169.254.42.42/32"),       // Scaleway
	netip.MustParsePrefix("169.254.0.23/32"),        // Tencent Cloud
	netip.MustParsePrefix("fe80::a9fe:a9fe/128"),    // OpenStack
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure's wire server
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle Cloud Classic
	netip.MustParsePrefix("fd00:ec2::/32"),          // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google Cloud
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle Cloud
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
	netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"),  // Akamai (Linode)
	netip.MustParsePrefix("fd00:100::100:200/128"),  // Alibaba Cloud
}

// private are the ranges that deny_private refuses besides those that netip knows as private and
// loopback: "this network" (RFC 791), shared address space (RFC 6598), IETF protocol assignments
// (RFC 6890), benchmarks (RFC 2544), and the reserved range (RFC 1112).
var private = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

var (
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

	// siteLocal was replaced by the unique local addresses. RFC 3879 §4 says not to use it, and
	// that routers may still know it.
	siteLocal = netip.MustParsePrefix("fec0::/10")
)

// carriers are the IPv6 prefixes whose addresses carry an IPv4 address, and the positions of its
// four bytes. RFC 8215 gives each network a /48 to divide as it likes. So an address there can
// have each form of RFC 6052 §2.2 that is as long or longer: /48, /56, /64 and /96. No form uses
// the ninth byte, "u".
var carriers = []struct {
	prefix netip.Prefix
	at     [][4]int
}{
	// IPv4-compatible, RFC 4291 §2.5.5.1; IPv4-translated, RFC 2765; NAT64, RFC 6052
	{netip.MustParsePrefix("::/96"), [][4]int{{12, 13, 14, 15}}},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [][4]int{{12, 13, 14, 15}}},
	{netip.MustParsePrefix("64:ff9b::/96"), [][4]int{{12, 13, 14, 15}}},
	{netip.MustParsePrefix("64:ff9b:1::/48"), [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}},
	{netip.MustParsePrefix("2002::/16"), [][4]int{{2, 3, 4, 5}}}, // 6to4, RFC 3056
}

// teredo addresses carry two IPv4 addresses: that of a server, and that of the client with all
// its bits inverted (RFC 4380 §4).
var teredo = netip.MustParsePrefix("2001::/32")

// readings returns the addresses that dialling an address may reach: the address itself, and the
// IPv4 addresses that it carries.
func readings(ip netip.Addr) []netip.Addr {
	if ip.Is4() || ip.IsLoopback() || ip.IsUnspecified() {
		return []netip.Addr{ip}
	}
	var carried []netip.Addr
	b := ip.As16()
	for _, c := range carriers {
		if !c.prefix.Contains(ip) {
			continue
		}
		for _, at := range c.at {
			carried = append(carried, netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}))
		}
	}
	if teredo.Contains(ip) {
		carried = append(carried, netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if isISATAP(b) {
		carried = append(carried, netip.AddrFrom4([4]byte(b[12:16])))
	}
	// Read in one form an address is a host's. Read in the other forms it is often in 0.0.0.0/8,
	// or in the multicast and reserved ranges, to which no network sends. Such readings count
	// only if there is no other.
	if slices.ContainsFunc(carried, isHost) {
		carried = slices.DeleteFunc(carried, func(ip netip.Addr) bool { return !isHost(ip) })
	}
	return append(carried, ip)
}

// isISATAP reports whether the interface identifier of an address carries an IPv4 address (RFC
// 5214 §6.1). The prefix does not matter.
func isISATAP(b [16]byte) bool {
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// isHost reports whether an IPv4 address can be the address of one host.
func isHost(ip netip.Addr) bool {
	first := ip.As4()[0]
	return first != 0 && first < 224
}
