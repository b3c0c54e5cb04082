# SPDX-License-Identifier: Apache-2.0

"""Answers each request with what Python reads in it. The first segment of the path names the separator of parameters."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece, or each waits for a delayed ACK

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path.startswith("/semicolons"):
            # Before 3.9.2 both separated: https://bugs.python.org/issue42967.
            query = parse_qs(url.query.replace(";", "&"), keep_blank_values=True)
        else:
            query = parse_qs(url.query, keep_blank_values=True)
        fields = {name.lower(): ", ".join(self.headers.get_all(name)) for name in self.headers}
        body = json.dumps({"query": query, "fields": fields}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
print("127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
