// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// request is what a client sends, byte for byte: nothing is checked, escaped or completed, but for the framing of the
// body where length and chunked do not say otherwise.
type request struct {
	method    string // default GET
	target    string // :path
	authority string // Host, :authority; default the gateway's
	fields    [][2]string
	body      string
	trailers  [][2]string
	pseudo    [][2]string // in the place of all pseudo-header fields, over HTTP/2 and 3
}

// reply is what a client gets. err says that the request was refused without an answer.
type reply struct {
	status  int
	header  http.Header
	interim []http.Header
	trailer http.Header
	body    string
	err     error
}

// refused reports whether the client was told that the request is not served: a reset counts, an empty answer does not.
func (r reply) refused() bool {
	return r.err != nil || 400 <= r.status && r.status < 500 || r.status == http.StatusNotImplemented
}

// problem returns the code of our answer, or "".
func (r reply) problem() string {
	_, after, ok := strings.Cut(r.body, "urn:authenticated-api:")
	if !ok || r.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	code, _, _ := strings.Cut(after, `"`)
	return code
}

// client sends requests one after the other, over one connection as long as the server keeps it.
type client interface {
	do(req request) reply
	name() string
}

// clients returns one client for each version of HTTP.
func clients(t testing.TB, g gateway) []client {
	all := []client{&h1Client{addr: g.plain}, &h2Client{addr: g.tls}, &h3Client{addr: g.tls}}
	t.Cleanup(func() {
		for _, c := range all {
			c.(io.Closer).Close()
		}
	})
	return all
}

const patience = 10 * time.Second

// h1Client speaks HTTP/1.1 without TLS.
type h1Client struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
}

func (*h1Client) name() string { return "h1" }

// Close closes the connection.
func (c *h1Client) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

func (c *h1Client) do(req request) reply {
	method := orDefault(req.method, http.MethodGet)
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, req.target, orDefault(req.authority, c.addr))
	for _, field := range req.fields {
		fmt.Fprintf(&sb, "%s: %s\r\n", field[0], field[1])
	}
	switch {
	case len(req.trailers) > 0:
		fmt.Fprintf(&sb, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", len(req.body), req.body)
		for _, field := range req.trailers {
			fmt.Fprintf(&sb, "%s: %s\r\n", field[0], field[1])
		}
	case req.body != "":
		fmt.Fprintf(&sb, "Content-Length: %d\r\n", len(req.body))
		sb.WriteString("\r\n" + req.body)
		return c.raw(method, sb.String())
	}
	sb.WriteString("\r\n")
	return c.raw(method, sb.String())
}

// raw sends bytes and reads one response.
func (c *h1Client) raw(method, raw string) reply {
	fresh := c.conn == nil
	if fresh {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			return reply{err: err}
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.Close()
		if !fresh {
			return c.raw(method, raw)
		}
		return reply{err: err}
	}
	r := c.read(method)
	if r.err != nil {
		c.Close()
	}
	return r
}

func (c *h1Client) read(method string) (r reply) {
	for {
		res, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			r.err = err
			return r
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			r.interim = append(r.interim, res.Header)
			continue
		}
		r.status, r.header = res.StatusCode, res.Header
		if res.StatusCode == http.StatusSwitchingProtocols {
			return r
		}
		body, err := io.ReadAll(res.Body)
		r.body, r.trailer, r.err = string(body), res.Trailer, err
		if res.Close {
			c.Close()
		}
		return r
	}
}

// h2Client speaks HTTP/2 over TLS, frame by frame.
type h2Client struct {
	addr   string
	conn   net.Conn
	framer *http2.Framer
	next   uint32
	mu     sync.Mutex
}

func (*h2Client) name() string { return "h2" }

// Close closes the connection.
func (c *h2Client) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

func (c *h2Client) dial() error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", c.addr, clientTLS("h2"))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	c.conn, c.framer, c.next = conn, http2.NewFramer(conn, conn), 1
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return c.framer.WriteSettings()
}

// pseudoFields are the pseudo-header fields of a request, which HTTP/2 and HTTP/3 have in common.
func pseudoFields(req request, addr string) [][2]string {
	if req.pseudo != nil {
		return req.pseudo
	}
	return [][2]string{
		{":method", orDefault(req.method, http.MethodGet)},
		{":scheme", "https"},
		{":authority", orDefault(req.authority, addr)},
		{":path", req.target},
	}
}

func (c *h2Client) do(req request) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.conn == nil
	if fresh {
		if err := c.dial(); err != nil {
			return reply{err: err}
		}
	}
	r, lost := c.try(req)
	if lost {
		c.Close()
		if !fresh && r.err != nil {
			r, lost = c.again(req)
			if lost {
				c.Close()
			}
		}
	}
	return r
}

// again sends a request on a connection of its own: the one before may have been lost to an earlier request.
func (c *h2Client) again(req request) (reply, bool) {
	if err := c.dial(); err != nil {
		return reply{err: err}, true
	}
	return c.try(req)
}

func (c *h2Client) try(req request) (r reply, lost bool) {
	stream := c.next
	c.next += 2
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	hasBody := req.body != "" || len(req.trailers) > 0
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: hpackBlock(append(pseudoFields(req, c.addr), req.fields...)),
		EndStream: !hasBody, EndHeaders: true,
	})
	if err == nil && hasBody {
		err = c.framer.WriteData(stream, len(req.trailers) == 0, []byte(req.body))
	}
	if err == nil && len(req.trailers) > 0 {
		err = c.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: stream, BlockFragment: hpackBlock(req.trailers), EndStream: true, EndHeaders: true,
		})
	}
	if err != nil {
		return reply{err: err}, true
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			r.err = err
			return r, true
		}
		if _, ok := frame.(*http2.SettingsFrame); !ok && frame.Header().StreamID != 0 && frame.Header().StreamID != stream {
			continue
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			lost = true
			if f.LastStreamID < stream || f.ErrCode != http2.ErrCodeNo {
				r.err = fmt.Errorf("GOAWAY %s", f.ErrCode)
				return r, true
			}
		case *http2.RSTStreamFrame:
			if r.status == 0 || f.ErrCode != http2.ErrCodeNo {
				r.err = fmt.Errorf("RST_STREAM %s", f.ErrCode)
			}
			return r, lost
		case *http2.MetaHeadersFrame:
			if !r.head(f.PseudoValue("status"), hpackHeader(f.RegularFields())) && f.StreamEnded() {
				return r, lost
			}
			if f.StreamEnded() {
				return r, lost
			}
		case *http2.DataFrame:
			r.body += string(f.Data())
			if n := uint32(len(f.Data())); n > 0 {
				_ = c.framer.WriteWindowUpdate(0, n)
				_ = c.framer.WriteWindowUpdate(stream, n)
			}
			if f.StreamEnded() {
				return r, lost
			}
		}
	}
}

// head takes the fields of a HEADERS frame; it reports whether they are those of the final response.
func (r *reply) head(status string, header http.Header) bool {
	code, _ := strconv.Atoi(status)
	switch {
	case status == "":
		r.trailer = header
	case code < 200:
		r.interim = append(r.interim, header)
	default:
		r.status, r.header = code, header
		return true
	}
	return false
}

func hpackBlock(fields [][2]string) []byte {
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	enc.SetMaxDynamicTableSizeLimit(0)
	for _, field := range fields {
		_ = enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true})
	}
	return buf.Bytes()
}

func hpackHeader(fields []hpack.HeaderField) http.Header {
	header := make(http.Header)
	for _, field := range fields {
		header.Add(field.Name, field.Value)
	}
	return header
}

// h3Client speaks HTTP/3, frame by frame.
type h3Client struct {
	addr string
	conn *quic.Conn
}

func (*h3Client) name() string { return "h3" }

// Close closes the connection.
func (c *h3Client) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.CloseWithError(0x100, "")
	c.conn = nil
	return err
}

// The types of HTTP/3's streams and frames (RFC 9114 §6.2, §7.2).
const (
	h3ControlStream = 0x0
	h3Data          = 0x0
	h3Headers       = 0x1
	h3Settings      = 0x4
)

func h3Frame(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

func (c *h3Client) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, c.addr, clientTLS("h3"), &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		return err
	}
	control, err := conn.OpenUniStream()
	if err != nil {
		return err
	}
	c.conn = conn
	_, err = control.Write(append([]byte{h3ControlStream}, h3Frame(h3Settings, nil)...))
	return err
}

func (c *h3Client) do(req request) reply {
	fresh := c.conn == nil
	if !fresh && c.conn.Context().Err() != nil {
		c.conn, fresh = nil, true
	}
	if fresh {
		if err := c.dial(); err != nil {
			return reply{err: err}
		}
	}
	r := c.try(req)
	if c.conn.Context().Err() != nil {
		c.conn = nil
		if !fresh && r.err != nil {
			if err := c.dial(); err != nil {
				return reply{err: err}
			}
			r = c.try(req)
		}
	}
	return r
}

func (c *h3Client) try(req request) (r reply) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := c.conn.OpenStreamSync(ctx)
	if err != nil {
		return reply{err: err}
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	raw := h3Frame(h3Headers, qpackBlock(append(pseudoFields(req, c.addr), req.fields...)))
	if req.body != "" {
		raw = append(raw, h3Frame(h3Data, []byte(req.body))...)
	}
	if len(req.trailers) > 0 {
		raw = append(raw, h3Frame(h3Headers, qpackBlock(req.trailers))...)
	}
	// A server that has answered already may stop the stream; its answer counts.
	_, _ = stream.Write(raw)
	_ = stream.Close()
	br := quicvarint.NewReader(stream)
	for {
		kind, err := quicvarint.Read(br)
		if errors.Is(err, io.EOF) && r.status != 0 {
			return r
		}
		if err != nil {
			r.err = err
			return r
		}
		length, err := quicvarint.Read(br)
		if err != nil {
			r.err = err
			return r
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(br, payload); err != nil {
			r.err = err
			return r
		}
		switch kind {
		case h3Data:
			r.body += string(payload)
		case h3Headers:
			status, header, err := qpackHeader(payload)
			if err != nil {
				r.err = err
				return r
			}
			r.head(status, header)
		}
	}
}

func qpackBlock(fields [][2]string) []byte {
	var buf bytes.Buffer
	enc := qpack.NewEncoder(&buf)
	for _, field := range fields {
		_ = enc.WriteField(qpack.HeaderField{Name: field[0], Value: field[1]})
	}
	return buf.Bytes()
}

func qpackHeader(block []byte) (status string, header http.Header, err error) {
	header = make(http.Header)
	decode := qpack.NewDecoder().Decode(block)
	for {
		field, err := decode()
		if errors.Is(err, io.EOF) {
			return status, header, nil
		}
		if err != nil {
			return "", nil, err
		}
		if field.Name == ":status" {
			status = field.Value
		} else {
			header.Add(field.Name, field.Value)
		}
	}
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
