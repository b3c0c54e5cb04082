// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
)

// TestWebSocket uses three makes of clients against the server of one.
func TestWebSocket(t *testing.T) {
	s := service{
		start: func(t *testing.T) string {
			return serve(t, guarded("Authorization", "Bearer "+key, http.HandlerFunc(echoSocket)))
		},
		lines: "auth bearer " + key,
	}
	t.Run("ws", func(t *testing.T) {
		compare(t, "ws", s, func(t *testing.T, w way) transcript { return script(t, "ws.mjs", w) })
	})
	t.Run("coder", func(t *testing.T) { compare(t, "coder/websocket", s, useCoder) })
	t.Run("gorilla", func(t *testing.T) { compare(t, "gorilla/websocket", s, useGorilla) })
}

// echoSocket sends back every message, and closes the connection after the message "close".
func echoSocket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/echo" {
		http.NotFound(w, r)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
	conn, err := upgrader.Upgrade(w, r, http.Header{"X-Query": {r.URL.RawQuery}})
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if string(data) == "close" {
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4002, "as told"), time.Now().Add(time.Second))
			return
		}
		if err := conn.WriteMessage(kind, data); err != nil {
			return
		}
	}
}

func (w way) header() http.Header {
	if w.direct() {
		return http.Header{"Authorization": {"Bearer " + key}}
	}
	return nil
}

func useCoder(t *testing.T, w way) transcript {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var tr transcript
	url := strings.Replace(w.url, "http", "ws", 1)
	opts := &coder.DialOptions{HTTPHeader: w.header(), Subprotocols: []string{"chat"}, CompressionMode: coder.CompressionContextTakeover}
	conn, res, err := coder.Dial(ctx, url+"/echo?a=b", opts)
	if err != nil {
		tr.note("open", "", err)
		return tr
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(-1)
	tr.note("open", fmt.Sprint(conn.Subprotocol(), res.Header["X-Query"], res.Header["Sec-Websocket-Extensions"]), nil)
	for _, size := range []int{0, 5, 125, 126, 65535, 65536, 3 << 20} {
		err := conn.Write(ctx, coder.MessageBinary, make([]byte, size))
		if err == nil {
			var data []byte
			_, data, err = conn.Read(ctx)
			size = len(data)
		}
		tr.note("echo", size, err)
	}
	if err := conn.Write(ctx, coder.MessageText, []byte("close")); err != nil {
		tr.note("close", "", err)
	}
	_, _, err = conn.Read(ctx)
	tr.note("close", fmt.Sprint(coder.CloseStatus(err)), nil)
	_, res, err = coder.Dial(ctx, url+"/absent", opts)
	tr.refusal("no such path", fmt.Errorf("%d %v", res.StatusCode, err != nil))
	return tr
}

func useGorilla(t *testing.T, w way) transcript {
	var tr transcript
	url := strings.Replace(w.url, "http", "ws", 1)
	dialer := &websocket.Dialer{Subprotocols: []string{"chat"}, EnableCompression: true, HandshakeTimeout: patience}
	conn, res, err := dialer.DialContext(t.Context(), url+"/echo?a=b", w.header())
	if err != nil {
		tr.note("open", "", err)
		return tr
	}
	defer conn.Close()
	tr.note("open", fmt.Sprint(conn.Subprotocol(), res.Header["X-Query"], res.Header["Sec-Websocket-Extensions"]), nil)
	ponged := make(chan string, 1)
	conn.SetPongHandler(func(text string) error { ponged <- text; return nil })
	err = conn.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(patience))
	for _, text := range []string{"", "grün", strings.Repeat("x", 1<<20)} {
		if err == nil {
			err = conn.WriteMessage(websocket.TextMessage, []byte(text))
		}
		var data []byte
		if err == nil {
			_, data, err = conn.ReadMessage()
		}
		tr.note("echo", len(data), err)
	}
	tr.note("ping", <-ponged, nil)
	err = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "over"))
	tr.note("close", "", err)
	_, _, err = conn.ReadMessage()
	var closed *websocket.CloseError
	tr.note("closed", errors.As(err, &closed), nil)
	tr.note("how", fmt.Sprint(closed), nil)
	return tr
}
