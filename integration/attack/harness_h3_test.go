// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

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
