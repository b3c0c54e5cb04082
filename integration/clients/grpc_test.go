// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TestGRPC calls gRPC's own test service, over HTTP/2 in clear on both sides.
func TestGRPC(t *testing.T) {
	s := service{
		start:  grpcServer,
		lines:  "auth bearer " + key + "\ntransport http {\nversions h2c\n}",
		global: "servers {\nprotocols h1 h2c\n}",
		apart:  true,
		forms:  []form{atRoot},
	}
	compare(t, "grpc", s, useGRPC)
}

func grpcServer(t *testing.T) string {
	permitted := func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+key {
			return status.Error(codes.Unauthenticated, "no credential, no answer")
		}
		return nil
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := permitted(ctx); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := permitted(stream.Context()); err != nil {
				return err
			}
			return next(srv, stream)
		}))
	pb.RegisterTestServiceServer(server, interop.NewTestServer())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return "http://" + ln.Addr().String()
}

func useGRPC(t *testing.T, w way) transcript {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := grpc.NewClient(w.host(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if w.direct() {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	client := pb.NewTestServiceClient(conn)
	var tr transcript
	_, err = client.EmptyCall(ctx, &pb.Empty{})
	tr.note("an empty call", "", err)
	unary(ctx, client, &tr)
	clientStream(ctx, client, &tr)
	serverStream(ctx, client, &tr)
	pingPong(ctx, client, &tr)
	_, err = client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(codes.Aborted), Message: "ü % \n\t"}})
	tr.refusal("a status with a message", err)
	_, err = client.UnimplementedCall(ctx, &pb.Empty{})
	tr.refusal("a method that is not there", err)
	hurried, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	stream, err := client.FullDuplexCall(hurried)
	if err == nil {
		_, err = stream.Recv()
	}
	tr.refusal("a deadline", textError(fmt.Sprint(status.Code(err))))
	return tr
}

func unary(ctx context.Context, client pb.TestServiceClient, tr *transcript) {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", "initial", "x-grpc-test-echo-trailing-bin", "\x00\xff\xab")
	var header, trailer metadata.MD
	request := &pb.SimpleRequest{ResponseSize: 314159, Payload: &pb.Payload{Body: make([]byte, 271828)}}
	for _, compressor := range []string{"", gzip.Name} {
		opts := []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)}
		if compressor != "" {
			opts = append(opts, grpc.UseCompressor(compressor))
		}
		reply, err := client.UnaryCall(ctx, request, opts...)
		tr.note("a large call "+compressor, len(reply.GetPayload().GetBody()), err)
		tr.note("metadata "+compressor, fmt.Sprintf("%q %q %q", header.Get("x-grpc-test-echo-initial"),
			trailer.Get("x-grpc-test-echo-trailing-bin"), header.Get("content-type")), nil)
	}
}

func clientStream(ctx context.Context, client pb.TestServiceClient, tr *transcript) {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		tr.note("a client's stream", "", err)
		return
	}
	for _, size := range []int{27182, 8, 1828, 45904} {
		if err := stream.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
			tr.note("a client's stream", "", err)
			return
		}
	}
	reply, err := stream.CloseAndRecv()
	tr.note("a client's stream", reply.GetAggregatedPayloadSize(), err)
}

func serverStream(ctx context.Context, client pb.TestServiceClient, tr *transcript) {
	stream, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{ResponseParameters: sizes(31415, 9, 2653, 58979)})
	var got []string
	for err == nil {
		var reply *pb.StreamingOutputCallResponse
		if reply, err = stream.Recv(); err == nil {
			got = append(got, fmt.Sprint(len(reply.GetPayload().GetBody())))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	tr.note("a server's stream", strings.Join(got, " "), err)
}

// pingPong sends each message after the answer to the previous message has come.
func pingPong(ctx context.Context, client pb.TestServiceClient, tr *transcript) {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		tr.note("a stream both ways", "", err)
		return
	}
	var got []string
	for _, size := range []int32{31415, 9, 2653} {
		if err = stream.Send(&pb.StreamingOutputCallRequest{ResponseParameters: sizes(size)}); err != nil {
			break
		}
		var reply *pb.StreamingOutputCallResponse
		if reply, err = stream.Recv(); err != nil {
			break
		}
		got = append(got, fmt.Sprint(len(reply.GetPayload().GetBody())))
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if _, end := stream.Recv(); err == nil && !errors.Is(end, io.EOF) {
		err = fmt.Errorf("the stream ends with %w", end)
	}
	tr.note("a stream both ways", strings.Join(got, " "), err)
}

func sizes(all ...int32) []*pb.ResponseParameters {
	var params []*pb.ResponseParameters
	for _, size := range all {
		params = append(params, &pb.ResponseParameters{Size: size})
	}
	return params
}
