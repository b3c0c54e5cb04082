// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func testRule(t *testing.T, denyPrivate bool) *Rule {
	t.Helper()
	rule, err := NewRule(caddy.Context{}, "", denyPrivate, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

func denied(rule *Rule, ip string) bool {
	return rule.check(netip.AddrPortFrom(netip.MustParseAddr(ip), 80)) != nil
}

// TestMetadata has the addresses that clouds document for the metadata of instances, or for
// credentials, each with its source.
func TestMetadata(t *testing.T) {
	rule := testRule(t, false)
	for ip, source := range map[string]string{
		"169.254.169.254":    "AWS, Google Cloud, Azure, Oracle Cloud, DigitalOcean, OpenStack and others",
		"169.254.170.2":      "AWS, ECS task credentials: AmazonECS/latest/developerguide/task-iam-roles.html",
		"169.254.170.23":     "AWS, EKS Pod Identity: eks/latest/userguide/pod-id-agent-setup.html",
		"169.254.42.42":      "Scaleway: cloud-init, datasources/scaleway.rst",
		"169.254.0.23":       "Tencent Cloud: metadata.tencentyun.com",
		"fe80::a9fe:a9fe":    "OpenStack: Neutron's metadata over IPv6",
		"fd00:ec2::254":      "AWS, IMDS: AWSEC2/latest/UserGuide/instancedata-data-retrieval.html",
		"fd00:ec2::23":       "AWS, EKS Pod Identity: eks/latest/userguide/pod-id-agent-setup.html",
		"fd00:ec2::253":      "AWS, Route 53 Resolver: vpc/latest/userguide/AmazonDNS-concepts.html",
		"fd20:ce::254":       "Google Cloud: compute/docs/metadata/querying-metadata",
		"fd00:c1::a9fe:a9fe": "Oracle Cloud: oci-python-sdk, DEFAULT_METADATA_URL_BASE_IPV6",
		"192.0.0.192":        "Oracle Cloud Classic: retrieving-instance-metadata",
		"fd00:42::42":        "Scaleway: cloud-init, datasources/scaleway.rst",
		"fd00:a9fe:a9fe::1":  "Akamai (Linode): cloud-init, datasources/akamai.rst",
		"100.100.100.200":    "Alibaba Cloud: ecs/user-guide/view-instance-metadata",
		"fd00:100::100:200":  "Alibaba Cloud: cloud-init, DataSourceAliYun",
		"168.63.129.16":      "Azure: virtual-network/what-is-ip-address-168-63-129-16",
	} {
		if !denied(rule, ip) {
			t.Errorf("%s may be dialled (%s)", ip, source)
		}
	}
}

// TestCarried: an address that carries a metadata address is refused in each form in which a
// network may read it.
func TestCarried(t *testing.T) {
	rule := testRule(t, false)
	for _, ip := range []string{
		"::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::a9fe:a9fe",
		// RFC 8215, in the forms /48, /56, /64, /96 of RFC 6052 §2.2, and with bits in the
		// suffix, which translators ignore.
		"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:abcd::a9fe:a9fe",
		"64:ff9b:1:a9fe:a9:fe12:3456:789a", "64:ff9b:1:ffa9:fe:a9fe:ff:ff", "64:ff9b:1:ffff:a9:fea9:feff:ffff", "64:ff9b:1:a9fe:ffa9:fe00::",
		"64:ff9b:1:6464:64:c800::", "64:ff9b:1:64:64:64c8::", "64:ff9b:1:0:64:6464:c800:0", "64:ff9b:1:a83f:81:1000::", "64:ff9b:1:c000:0:c000::",
		"64:ff9b:1::", "64:ff9b:1::e000:1", "64:ff9b:1::ffff:ffff",
		// 6to4; Teredo's server and client; ISATAP with both values of its universal bit, in any
		// prefix.
		"2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:5601:5601",
		"2001:db8::5efe:a9fe:a9fe", "2001:db8::200:5efe:a9fe:a9fe", "fd12::5efe:6464:64c8", "2a00:1:2:3:0:5efe:a83f:8110",
		"fec0::1", "feff:ffff::1",
	} {
		if !denied(rule, ip) {
			t.Errorf("%s may be dialled", ip)
		}
	}
}

// TestNeighbours: what is near those addresses, and no metadata, may be dialled.
func TestNeighbours(t *testing.T) {
	rule := testRule(t, false)
	for _, ip := range []string{
		"169.253.255.255", "169.255.0.1", "100.100.100.201", "168.63.129.17", "192.0.0.193", "192.0.0.9", "192.0.2.1", "198.18.0.1", "240.0.0.1",
		"fd00:ec1::254", "fd00:ec3::254", "fd20:ce::253", "fd20:ce:1::254", "fd00:c1::a9fe:504", "fd00:c1::1", "fd00:42::43", "fd00:42:1::42",
		"fd00:a9fe:a9fe::2", "fd00:100::100:201", "fd00::1", "fc00::1", "fdff::1",
		// 192.0.2.1, 8.8.8.8 and 8.230.1.1 behind RFC 8215's prefix as /48, /56, /64 and /96: as
		// another form it is 230.1.1.0.
		"64:ff9b:1:c000:2:100::", "64:ff9b:1:c0:0:201::", "64:ff9b:1:0:c0:2:100:0", "64:ff9b:1::c000:201",
		"64:ff9b:1:808:8:800::", "64:ff9b:1:8:8:808::", "64:ff9b:1:0:8:808:800:0", "64:ff9b:1::808:808", "64:ff9b:1:abcd::808:808",
		"64:ff9b:1:8e6:1:100::", "64:ff9b:1:8:e6:101::", "64:ff9b::c000:201", "64:ff9b:2::a9fe:a9fe", "64:ff9a::a9fe:a9fe",
		"2002:c000:201::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::5efe:c000:201", "2001:db8::5eff:a9fe:a9fe", "2001:db8::a9fe:a9fe",
		"2001:db8::1:5efe:a9fe:a9fe", "2606:4700::1111",
	} {
		if denied(rule, ip) {
			t.Errorf("%s is refused", ip)
		}
	}
}

// TestPrivate is deny_private, with what is next to each range.
func TestPrivate(t *testing.T) {
	rule := testRule(t, true)
	for _, ip := range []string{
		"10.1.2.3", "127.0.0.1", "0.1.2.3", "100.64.0.1", "192.0.0.1", "192.0.0.255", "198.18.0.1", "198.19.255.255", "240.0.0.1", "255.255.255.254",
		"fc00::1", "fdff::1", "::1", "64:ff9b:1:a00:0:100::", "64:ff9b:1:a:0:1::", "64:ff9b:1:0:a:0:100:0", "64:ff9b:1::a00:1", "64:ff9b:1::c612:1",
		"2001:db8::5efe:a00:1", "2002:c612:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "64:ff9b::f000:1", "64:ff9b:1::0.1.2.3",
	} {
		if !denied(rule, ip) {
			t.Errorf("%s may be dialled", ip)
		}
	}
	for _, ip := range []string{
		"11.0.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1", "192.0.2.1", "198.17.255.255", "198.20.0.1", "223.255.255.255",
		"64:ff9b::808:808", "64:ff9b:1::808:808", "64:ff9b:1:808:8:800::", "64:ff9b:1:0:8:808:800:0", "2001:db8::1", "2001:db8::5efe:808:808",
	} {
		if denied(rule, ip) {
			t.Errorf("%s is refused", ip)
		}
	}
}

// TestAllowed: what an operator names is dialled, metadata only by an address of its own, and
// what is no address of a host never.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		allow       []string
		may, mayNot []string
	}{
		{[]string{"169.254.171.0/24"}, []string{"169.254.171.1", "169.254.171.254", "64:ff9b::a9fe:ab01", "::ffff:169.254.171.1"}, []string{"169.254.1.2", "169.254.172.1", "fe80::1"}},
		{[]string{"169.254.1.2"}, []string{"169.254.1.2"}, []string{"169.254.1.3", "169.254.169.254"}},
		{[]string{"::ffff:169.254.1.2", "::ffff:169.254.171.0/120"}, []string{"169.254.1.2", "169.254.171.9"}, []string{"169.254.1.3"}},
		{[]string{"fe80::/10"}, []string{"fe80::1", "fe80::7%lo"}, []string{"fe80::a9fe:a9fe", "fe80::a9fe:a9fe%eth0", "169.254.1.1"}},
		{[]string{"fec0::/10"}, []string{"fec0::1"}, []string{"fe80::1"}},
		{
			[]string{"0.0.0.0/0", "::/0"},
			[]string{"169.254.1.2", "169.254.168.1", "169.254.171.1", "fe80::1", "fec0::1"},
			[]string{
				"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.129.3", "169.254.42.42", "169.254.0.23", "fe80::a9fe:a9fe", "fd00:ec2::254",
				"100.100.100.200", "168.63.129.16", "64:ff9b::a9fe:a9fe", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
			},
		},
		{[]string{"169.254.0.0/16", "169.254.169.254/32"}, []string{"169.254.169.254", "169.254.1.2"}, []string{"169.254.170.2", "169.254.169.253"}},
		{[]string{"fd00:ec2::254"}, []string{"fd00:ec2::254"}, []string{"fd00:ec2::23"}},
		{[]string{"fd00:ec2::/32"}, nil, []string{"fd00:ec2::254"}},
	} {
		allowed, err := ParseAllowed(tt.allow)
		if err != nil {
			t.Fatal(err)
		}
		rule := testRule(t, false)
		rule.allowed = allowed
		for _, ip := range tt.may {
			if err := rule.check(netip.AddrPortFrom(netip.MustParseAddr(ip), 80)); err != nil {
				t.Errorf("%v: %v", tt.allow, err)
			}
		}
		for _, ip := range tt.mayNot {
			if !denied(rule, ip) {
				t.Errorf("%v: %s may be dialled", tt.allow, ip)
			}
		}
	}
}

// TestAllowedPrivate: deny_private has the exceptions that an operator names.
func TestAllowedPrivate(t *testing.T) {
	rule := testRule(t, true)
	rule.allowed, _ = ParseAllowed([]string{"10.1.0.0/16", "fd12::1"})
	if denied(rule, "10.1.2.3") || denied(rule, "fd12::1") || !denied(rule, "10.2.0.1") || !denied(rule, "fd12::2") || !denied(rule, "127.0.0.1") {
		t.Error("the exceptions are others")
	}
}

// TestRemedy: whoever wants a refused address is told how, where there is a way.
func TestRemedy(t *testing.T) {
	rule := testRule(t, true)
	for ip, want := range map[string]string{
		"169.254.1.2": "allow_dial 169.254.1.2 ", "169.254.169.254": "allow_dial 169.254.169.254 ", "10.0.0.1": "allow_dial 10.0.0.1 ",
		"0.0.0.0": "what the host of the base URL resolves to", "224.0.0.1": "what the host of the base URL resolves to", "127.0.0.1": "allow_dial 127.0.0.1 ",
	} {
		if got := Remedy(rule.check(netip.AddrPortFrom(netip.MustParseAddr(ip), 80))); !strings.Contains(got, want) {
			t.Errorf("%s: %q", ip, got)
		}
	}
	if got := Remedy(rule.check(netip.MustParseAddrPort("127.0.0.1:2019"))); strings.Contains(got, "allow_dial") {
		t.Errorf("the admin endpoint: %q", got)
	}
}
