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

// endpoint is where one of Caddy's admin endpoints listens. What cannot be known of it is taken to be anything.
type endpoint struct {
	host string // a name, an IP address, or "" for all addresses of this machine
	port uint16 // 0: the system has chosen it, or there is none

	socket    string      // the path of a unix socket, or the name of an abstract one; "": none
	socketID  os.FileInfo // that of the path when the configuration was loaded; nil: none was there
	anyPort   bool
	anySocket bool
}

// unknown stands for an endpoint of which nothing can be known.
var unknown = endpoint{anyPort: true, anySocket: true}

var errAdminAddress = errors.New("admin_address, or the global option admin: it is no network address that Caddy can listen on; " +
	"write localhost:2019, unix//run/caddy-admin.sock, or a placeholder such as {env.NAME} that holds one")

// adminEndpoints returns the endpoints of the configuration that ctx belongs to, and the one at an address that is given.
func adminEndpoints(ctx caddy.Context, given string) ([]endpoint, error) {
	listen, remote, hasRemote := configured(ctx)
	// With `admin off` the default address stays refused: the admin endpoint of another Caddy may be there.
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

// configured returns the addresses of the admin endpoints as they stand in Caddy's configuration. Caddy shows that part of it
// to no module, so this looks into the context. Where a Caddy keeps it elsewhere, both are empty.
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

// field returns the field of that name of a struct, or of the one that a pointer leads to. It is the zero Value if there is
// none.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// newEndpoint resolves an address as Caddy does for its admin endpoint: placeholders, then the network, then the mode behind
// a socket's path. There is no default port.
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

func socketEndpoint(name string) endpoint {
	if name == "" {
		return unknown // Linux gives such a socket a name
	}
	e := endpoint{socket: canonicalName(name)}
	if !isAbstract(e.socket) {
		// Caddy opens its admin endpoint before it provisions the apps.
		e.socketID, _ = os.Stat(name)
	}
	return e
}

// adminReason returns why an address must not be dialled on account of the admin endpoints, or "". An endpoint that listens on
// all addresses of the machine, or on a name, is taken to be at each of them.
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

// isLocal reports whether an address is one of this machine's.
func (r *Rule) isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := r.addresses()
	if err != nil {
		return true
	}
	if slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == ip
	}) {
		return true
	}
	// A route can make a prefix local that no interface has (Linux: ip route add local … dev lo). Then the address itself is
	// the source of a connection to it. Nothing is sent to find out.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false
	}
	defer conn.Close()
	source, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && source.AddrPort().Addr().Unmap() == ip
}

var errAdminSocket = errors.New("the socket of Caddy's admin endpoint is never dialled")

// checkSocket reports why a unix socket must not be dialled. One file has many paths (/./, links, mounts), so it is the files
// that are compared.
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

// checkFile refuses a path that leads to the endpoint's socket, or of which that cannot be said.
func (e *endpoint) checkFile(path string) error {
	dialled, err := os.Stat(path)
	if err != nil {
		return err // as the dial would
	}
	if e.socketID != nil && os.SameFile(dialled, e.socketID) {
		return errAdminSocket // it may have been renamed since
	}
	admin, err := os.Stat(e.socket)
	if err == nil && os.SameFile(dialled, admin) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errAdminSocket
	}
	return nil
}

// canonicalName returns the name of an abstract socket, which Go takes with a NUL in front too, with the @.
func canonicalName(name string) string {
	if runtime.GOOS == "linux" && strings.HasPrefix(name, "\x00") {
		return "@" + name[1:]
	}
	return name
}

// isAbstract reports whether a socket is in Linux's abstract namespace. Elsewhere such a name is a path.
func isAbstract(name string) bool {
	return runtime.GOOS == "linux" && strings.HasPrefix(name, "@")
}
