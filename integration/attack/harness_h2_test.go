// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

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

// again sends a request on a new connection, because an earlier request may have cost the
// connection.
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
