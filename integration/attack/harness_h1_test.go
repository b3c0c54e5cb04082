// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

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
