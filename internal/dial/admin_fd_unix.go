// SPDX-License-Identifier: Apache-2.0

//go:build unix

package dial

import (
	"net/netip"
	"strconv"
	"syscall"
)

// inherited returns the endpoint of a socket that Caddy got from the process that started it
// (fd/3).
func inherited(number string) endpoint {
	fd, err := strconv.ParseUint(number, 0, strconv.IntSize)
	if err != nil {
		return unknown
	}
	name, err := syscall.Getsockname(int(fd)) //nolint:gosec // it fits, see ParseUint
	if err != nil {
		return unknown
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		return endpoint{host: netip.AddrFrom4(name.Addr).String(), port: uint16(name.Port), anyPort: name.Port == 0}
	case *syscall.SockaddrInet6:
		return endpoint{host: netip.AddrFrom16(name.Addr).String(), port: uint16(name.Port), anyPort: name.Port == 0}
	case *syscall.SockaddrUnix:
		return socketEndpoint(name.Name)
	default:
		return unknown
	}
}
