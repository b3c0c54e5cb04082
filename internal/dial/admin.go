// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// endpoint is where one of Caddy's admin endpoints listens. If a part of that cannot be known,
// the endpoint may be anywhere.
type endpoint struct {
	host string // a name, an IP address, or "" for all addresses of this machine
	port uint16 // 0 if the system has chosen it, or if there is none

	socket    string      // the path of a unix socket, or the name of an abstract one, or ""
	socketID  os.FileInfo // of the socket's file when the configuration was loaded, or nil
	anyPort   bool
	anySocket bool
}

// unknown is an endpoint that may be anywhere.
var unknown = endpoint{anyPort: true, anySocket: true}

var errAdminAddress = errors.New("admin_address, or the global option admin: it is no network address that Caddy can listen on; " +
	"write localhost:2019, unix//run/caddy-admin.sock, or a placeholder such as {env.NAME} that holds one")

// adminEndpoints returns the admin endpoints of the configuration that ctx belongs to, and the
// one at the given address.
func adminEndpoints(ctx caddy.Context, given string) ([]endpoint, error) {
	listen, remote, hasRemote := configured(ctx)
	// With `admin off` the default address stays refused: another Caddy may have its admin
	// endpoint there.
	addresses := []string{cmp.Or(listen, caddy.DefaultAdminListen)}
	if given != "" && given != listen {
		addresses = append(addresses, given)
	}
	if hasRemote {
		addresses = append(addresses, cmp.Or(remote, caddy.DefaultRemoteAdminListen))
	}
	endpoints := make([]endpoint, len(addresses))
	for i, address := range addresses {
		var err error
		if endpoints[i], err = newEndpoint(address); err != nil {
			return nil, err
		}
	}
	return endpoints, nil
}

// configured returns the addresses of the admin endpoints in Caddy's configuration. Caddy shows
// that part of the configuration to no module, so configured reads it from the context by
// reflection. If a version of Caddy keeps it elsewhere, both addresses are empty.
func configured(ctx caddy.Context) (listen, remote string, hasRemote bool) {
	admin := field(field(reflect.ValueOf(ctx), "cfg"), "Admin")
	if v := field(admin, "Listen"); v.Kind() == reflect.String {
		listen = v.String()
	}
	if v := field(field(admin, "Remote"), "Listen"); v.Kind() == reflect.String {
		remote, hasRemote = v.String(), true
	}
	return listen, remote, hasRemote
}

// field returns the field of that name of a struct, or of the struct that a pointer leads to. If
// there is none, it returns the zero Value.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// newEndpoint resolves an address as Caddy does for its admin endpoint: first placeholders, then
// the network, then the mode after a socket's path. There is no default port.
func newEndpoint(address string) (endpoint, error) {
	address, err := caddy.NewReplacer().ReplaceOrErr(address, true, true)
	if err != nil {
		return endpoint{}, errAdminAddress
	}
	addr, err := caddy.ParseNetworkAddress(cmp.Or(address, caddy.DefaultAdminListen))
	if err != nil || addr.PortRangeSize() != 1 {
		return endpoint{}, errAdminAddress
	}
	switch {
	case addr.IsUnixNetwork():
		path, _, _ := strings.Cut(addr.Host, "|")
		return socketEndpoint(path), nil
	case addr.IsFdNetwork():
		return inherited(addr.Host), nil
	default:
		return endpoint{host: addr.Host, port: uint16(addr.StartPort), anyPort: addr.StartPort == 0}, nil
	}
}

// socketEndpoint returns the endpoint at a unix socket.
func socketEndpoint(name string) endpoint {
	if name == "" {
		return unknown // Linux chooses a name for such a socket
	}
	e := endpoint{socket: canonicalName(name)}
	if !isAbstract(e.socket) {
		// Caddy opens its admin endpoint before it provisions the apps.
		e.socketID, _ = os.Stat(name)
	}
	return e
}

// adminReason returns why an address must not be dialled because of the admin endpoints, or "".
// An endpoint that listens on a name, or on all addresses, counts as being at each address of the
// machine.
func (r *Rule) adminReason(ip netip.Addr, port uint16) string {
	for _, e := range r.admin {
		if !e.anyPort && (e.port == 0 || e.port != port) {
			continue
		}
		host, err := netip.ParseAddr(e.host)
		if (err != nil || host.Unmap().WithZone("") != ip) && !r.isLocal(ip) {
			continue
		}
		if e.anyPort {
			return "on this machine, where Caddy's admin endpoint has a port that is not known; give the global option admin one"
		}
		return "Caddy's admin endpoint"
	}
	return ""
}

// isLocal reports whether an address belongs to this machine.
func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	if slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == ip
	}) {
		return true
	}
	// A route can make a prefix local that no interface has (Linux: ip route add local … dev lo).
	// Then the source of a connection to an address is that address itself. Connecting a UDP
	// socket sends nothing.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false
	}
	defer conn.Close()
	source, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && source.AddrPort().Addr().Unmap() == ip
}

var errAdminSocket = errors.New("the socket of Caddy's admin endpoint is never dialled")

// checkSocket reports why a unix socket must not be dialled. One file has many paths (/./, links,
// mounts), so checkSocket compares files and not paths.
func (r *Rule) checkSocket(name string) error {
	name = canonicalName(name)
	for _, e := range r.admin {
		switch {
		case e.anySocket:
			return errAdminSocket
		case e.socket == "":
		case e.socket == name:
			return errAdminSocket
		case isAbstract(e.socket) || isAbstract(name):
		default:
			if err := e.checkFile(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFile refuses a path that leads to the endpoint's socket, and one that may lead there.
func (e *endpoint) checkFile(path string) error {
	dialled, err := os.Stat(path)
	if err != nil {
		return err // the dial would fail in the same way
	}
	if e.socketID != nil && os.SameFile(dialled, e.socketID) {
		return errAdminSocket // also if the file has been renamed since
	}
	admin, err := os.Stat(e.socket)
	if err == nil && os.SameFile(dialled, admin) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errAdminSocket
	}
	return nil
}

// canonicalName returns the name of an abstract socket with an @ in front. Go accepts a NUL there
// too.
func canonicalName(name string) string {
	if runtime.GOOS == "linux" && strings.HasPrefix(name, "\x00") {
		return "@" + name[1:]
	}
	return name
}

// isAbstract reports whether a socket is in Linux's abstract namespace. On other systems such a
// name is a path.
func isAbstract(name string) bool {
	return runtime.GOOS == "linux" && strings.HasPrefix(name, "@")
}
