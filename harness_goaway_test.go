// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// When a goneAPI turns a request away.
type moment int

// goneAPI speaks HTTP/2 without TLS, and turns the first request on each of its first connections
// away.
type goneAPI struct {
	addr string
	when moment
	away int // how many connections turn a request away
	turn func(framer *http2.Framer, stream uint32) error

	mu     sync.Mutex
	conns  int
	began  int
	served []servedRequest
}

// servedRequest is a request that has come to its end.
type servedRequest struct {
	fields  map[string]string
	trailer map[string]string
	body    []byte
}

func newGoneAPI(t *testing.T, when moment, away int, turn func(*http2.Framer, uint32) error) *goneAPI {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	api := &goneAPI{addr: ln.Addr().String(), when: when, away: away, turn: turn}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			api.mu.Lock()
			api.conns++
			turns := api.conns <= api.away
			api.mu.Unlock()
			go func() {
				defer conn.Close()
				_ = api.serve(conn, turns)
			}()
		}
	}()
	return api
}

func (a *goneAPI) serve(conn net.Conn, turns bool) error {
	r := bufio.NewReader(conn)
	if _, err := io.ReadFull(r, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
		return err
	}
	_ = framer.WriteWindowUpdate(0, 1<<24)
	streams := make(map[uint32]*servedRequest)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		id, now := frame.Header().StreamID, atBody
		var ended bool
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
			continue
		case *http2.MetaHeadersFrame:
			fields := make(map[string]string)
			for _, field := range frame.Fields {
				fields[field.Name] = field.Value
			}
			ended = frame.StreamEnded()
			if streams[id] != nil {
				streams[id].trailer = fields
				break
			}
			streams[id], now = &servedRequest{fields: fields}, atHead
			a.mu.Lock()
			a.began++
			a.mu.Unlock()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
			if streams[id] != nil {
				streams[id].body = append(streams[id].body, frame.Data()...)
			}
		default:
			continue
		}
		if ended {
			now = atEnd
		}
		if turns && now == a.when {
			return a.turn(framer, id)
		}
		if ended && streams[id] != nil {
			if err := a.answer(framer, id, streams[id]); err != nil {
				return err
			}
		}
	}
}

func (a *goneAPI) answer(framer *http2.Framer, id uint32, request *servedRequest) error {
	a.mu.Lock()
	a.served = append(a.served, *request)
	a.mu.Unlock()
	status := "200"
	if request.fields["authorization"] == "Bearer old" {
		status = "401"
	}
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: status})
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return framer.WriteData(id, true, []byte("ok"))
}
