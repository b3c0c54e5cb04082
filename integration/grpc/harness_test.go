// SPDX-License-Identifier: Apache-2.0

package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// server is an API that serves nobody without its credential.
type server struct {
	accepts atomic.Value // a string
	late    atomic.Bool  // whether it sends its header before it refuses
	whole   atomic.Bool  // whether it reads a call of one message to its end before it refuses
	code    atomic.Uint32
	refused atomic.Int32
}

// check refuses a call that does not carry the credential.
func (s *server) check(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if strings.Join(md["authorization"], "|") == "Bearer "+s.accepts.Load().(string) {
		return nil
	}
	s.refused.Add(1)
	if s.late.Load() {
		_ = grpc.SendHeader(ctx, metadata.Pairs("x-late", "1"))
	}
	return status.Error(codes.Code(s.code.Load()), "no")
}

// one answers a call of one message. For a method of its own grpc-go reads no further than the
// message; as a stream, the call can be read to its end.
func (s *server) one(_ any, stream grpc.ServerStream) error {
	in := new(wrapperspb.StringValue)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	if s.whole.Load() {
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
			return status.Errorf(codes.Internal, "more than one message: %v", err)
		}
	}
	if err := s.check(stream.Context()); err != nil {
		return err
	}
	return stream.SendMsg(in)
}

// echo is a service of two methods: one message for one, many for many.
func (s *server) echo() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.Echo",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "One", Handler: s.one}, {StreamName: "Many", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			if err := s.check(stream.Context()); err != nil {
				return err
			}
			for {
				in := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(in); err != nil {
					return nil //nolint:nilerr // the client has said all
				}
				if err := stream.SendMsg(in); err != nil {
					return err
				}
			}
		}}},
	}
}

// startServer runs an API until the test ends.
func startServer(t *testing.T, options ...grpc.ServerOption) (*server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	s := new(server)
	s.accepts.Store("old")
	s.code.Store(uint32(codes.Unauthenticated))
	g := grpc.NewServer(options...)
	g.RegisterService(s.echo(), s)
	go func() { _ = g.Serve(ln) }()
	t.Cleanup(g.Stop)
	return s, ln.Addr().String()
}

func dial(t *testing.T, gateway string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+gateway, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// one makes a call with a message of its own.
func one(t *testing.T, conn *grpc.ClientConn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	in, out := wrapperspb.String(strings.Repeat("message ", 1000)), new(wrapperspb.StringValue)
	err := conn.Invoke(ctx, "/test.Echo/One", in, out)
	if err == nil && out.Value != in.Value {
		t.Errorf("the answer has %d bytes", len(out.Value))
	}
	return err
}

// many makes a call that goes both ways.
func many(t *testing.T, conn *grpc.ClientConn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Many")
	if err != nil {
		return err
	}
	for _, text := range []string{"a", "b", "c"} {
		out := new(wrapperspb.StringValue)
		_ = stream.SendMsg(wrapperspb.String(text)) // RecvMsg has the error
		if err := stream.RecvMsg(out); err != nil {
			return err
		}
		if out.Value != text {
			t.Errorf("the answer to %q is %q", text, out.Value)
		}
	}
	return stream.CloseSend()
}

// write puts a credential into a file.
func write(t *testing.T, file, secret string) {
	t.Helper()
	rig.Replace(t, file, secret)
}

func want(t *testing.T, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("the call gives %v, want %v", err, code)
	}
}

// eventually makes calls until one succeeds.
func eventually(t *testing.T, call func() error) {
	t.Helper()
	rig.Wait(t, "a call that succeeds", 15*time.Second, func() bool { return call() == nil })
}

// config is a Caddyfile with one site, which speaks HTTP/2 without TLS too.
func config(site, block string) string {
	return "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\ndefault_bind 127.0.0.1\nservers {\nprotocols h1 h2 h2c\n}\n}\n" +
		site + " {\n" + block + "\n}"
}

// both runs a test without TLS (h2c) and with it, on both sides of the gateway.
func both(t *testing.T, test func(t *testing.T, api *server, secret string, conn *grpc.ClientConn)) {
	certificate := rig.NewCertificate(t)
	pair := certificate.TLS()
	for _, tt := range []struct {
		name, scheme, site, options string
		server                      []grpc.ServerOption
		client                      credentials.TransportCredentials
	}{
		{"h2c", "http://", "", "transport http {\nversions h2c 2\n}", nil, insecure.NewCredentials()},
		{
			"TLS", "https://", "tls " + certificate.File + " " + certificate.KeyFile + "\n", "self_signed_cert " + certificate.File,
			[]grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&pair))},
			credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), //nolint:gosec // a test
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api, addr := startServer(t, tt.server...)
			secret := filepath.Join(t.TempDir(), "secret")
			write(t, secret, "old")
			gateway := rig.Start(t, config(tt.scheme+"GATEWAY", tt.site+"authenticated_api "+tt.scheme+addr+
				" {\nauth bearer {file."+secret+"}\n"+tt.options+"\nrefresh_on 401 403\n}"))
			test(t, api, secret, dial(t, gateway, tt.client))
		})
	}
}
