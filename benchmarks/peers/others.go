// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"expvar"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// other runs a program that is not Caddy with a configuration file. args may hold %s for the file.
func other(ctx context.Context, e *environment, program, path, file string, config func(addr, dir string) string, args ...string) (*running, error) {
	binary, err := exec.LookPath(program)
	if err != nil {
		if binary = filepath.Join("/usr/sbin", program); exec.Command(binary, "-v").Run() != nil { //nolint:gosec,noctx // G204: of this benchmark
			return nil, fmt.Errorf("%s: %w", program, errLacking)
		}
	}
	addr, err := free(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.dir, program+"-")
	if err != nil {
		return nil, err
	}
	name, err := write(dir, file, config(addr, dir))
	if err != nil {
		return nil, err
	}
	command := []string{binary}
	for _, a := range args {
		switch a {
		case "FILE":
			a = name
		case "DIR":
			a = dir
		case "ADDR":
			a = "--entrypoints.web.address=" + addr
		}
		command = append(command, a)
	}
	p, err := start(ctx, program, addr, dir, command...)
	return &running{process: p, addr: addr, next: always(get(path))}, err
}

// nginxConfig returns a configuration with one worker, which holds connections to the upstream.
func nginxConfig(e *environment, modules, http, location string) func(addr, dir string) string {
	return func(addr, dir string) string {
		return modules + `
daemon off;
master_process off;
worker_processes 1;
pid ` + dir + `/pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path ` + dir + `/body;
	proxy_temp_path ` + dir + `/proxy;
	fastcgi_temp_path ` + dir + `/fastcgi;
	uwsgi_temp_path ` + dir + `/uwsgi;
	scgi_temp_path ` + dir + `/scgi;
	keepalive_requests 1000000000;
	` + http + `
	upstream api {
		server ` + e.upstream + `;
		keepalive 512;
		keepalive_requests 1000000000;
	}
	server {
		listen ` + addr + `;
		location / {
			` + location + `
			proxy_pass http://api;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Authorization "Bearer ` + token + `";
		}
	}
}
`
	}
}

func nginx(ctx context.Context, e *environment) (*running, error) {
	return other(ctx, e, "nginx", "/bearer/items", "nginx.conf", nginxConfig(e, "", "", ""), "-p", "DIR", "-c", "FILE")
}

// luaModules is where Debian's package libnginx-mod-http-lua has its module, and that on which it
// stands.
const luaModules = "/usr/lib/nginx/modules/"

// nginxLua signs each request with HS256, by OpenSSL through LuaJIT's interface for foreign
// functions. The upstream checks the signature; the bearer token is a static one.
func nginxLua(ctx context.Context, e *environment) (*running, error) {
	if _, err := os.Stat(luaModules + "ngx_http_lua_module.so"); err != nil {
		return nil, fmt.Errorf("nginx with Lua: %w", errLacking)
	}
	modules := "load_module " + luaModules + "ndk_http_module.so;\nload_module " + luaModules + "ngx_http_lua_module.so;"
	setup := `init_by_lua_block {
		local ffi = require "ffi"
		ffi.cdef[[
			typedef struct evp_md_st EVP_MD;
			const EVP_MD *EVP_sha256(void);
			unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *d, size_t n, unsigned char *out, unsigned int *out_len);
		]]
		local out, len = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
		local sha256, secret = ffi.C.EVP_sha256(), "` + signingSecret + `"
		local function base64url(s)
			return (ngx.encode_base64(s, true):gsub("+", "-"):gsub("/", "_"))
		end
		local header = base64url('{"alg":"HS256","typ":"JWT"}')
		function sign(sub)
			local now = ngx.time()
			local text = header .. "." .. base64url('{"exp":' .. (now + 600) .. ',"iat":' .. now .. ',"iss":"Appsmith","sub":"' .. sub .. '"}')
			ffi.C.HMAC(sha256, secret, #secret, text, #text, out, len)
			return text .. "." .. base64url(ffi.string(out, 32))
		end
	}`
	return other(ctx, e, "nginx", "/lua/items", "nginx.conf",
		nginxConfig(e, modules, setup, `access_by_lua_block { ngx.req.set_header("X-Appsmith-Signature", sign(ngx.var.uri)) }`), "-p", "DIR", "-c", "FILE")
}

func haproxy(ctx context.Context, e *environment) (*running, error) {
	return other(ctx, e, "haproxy", "/bearer/items", "haproxy.cfg", func(addr, _ string) string {
		return `global
	maxconn 4096
	nbthread 1
defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
	http-reuse always
frontend callers
	bind ` + addr + `
	http-request set-header Authorization "Bearer ` + token + `"
	default_backend api
backend api
	server api ` + e.upstream + ` pool-max-conn 512
`
	}, "-db", "-f", "FILE")
}

func traefik(ctx context.Context, e *environment) (*running, error) {
	return other(ctx, e, "traefik", "/bearer/items", "dynamic.yml", func(string, string) string {
		return `http:
  routers:
    api: {rule: "PathPrefix(` + "`/`" + `)", service: api, middlewares: [credential]}
  middlewares:
    credential: {headers: {customRequestHeaders: {Authorization: "Bearer ` + token + `"}}}
  services:
    api: {loadBalancer: {servers: [{url: "http://` + e.upstream + `"}]}}
`
	}, "ADDR", "--log.level=ERROR", "--global.checknewversion=false", "--providers.file.directory=.")
}

func krakend(ctx context.Context, e *environment) (*running, error) {
	return other(ctx, e, "krakend", "/oauth/items", "krakend.json", func(addr, _ string) string {
		_, port, _ := net.SplitHostPort(addr)
		return `{"version": 3, "port": ` + port + `, "listen_ip": "127.0.0.1", "output_encoding": "no-op", "max_idle_connections_per_host": 512,
"endpoints": [{"endpoint": "/oauth/items", "backend": [{"url_pattern": "/oauth/items", "encoding": "no-op", "host": ["http://` + e.upstream + `"],
"extra_config": {"auth/client-credentials": {"client_id": "` + clientID + `", "client_secret": "` + clientSecret + `", "token_url": "http://` + e.upstream + `/token/86400"}}}]}]}`
	}, "run", "-c", "FILE")
}

// httputilAlone is Go's own proxy and nothing else, in a process of its own.
func httputilAlone(ctx context.Context, e *environment) (*running, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := free(ctx)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, "httputil", addr, e.dir, self, "httputil", addr, e.upstream)
	return &running{process: p, addr: addr, vars: "http://" + addr + "/debug/vars", next: always(get("/bearer/items"))}, err
}

// serveHTTPUtil serves on an address until the process ends.
func serveHTTPUtil(addr, api string) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: api})
		r.Out.Header.Set("Authorization", "Bearer "+token)
	}}
	mux := http.NewServeMux()
	mux.Handle("/debug/vars", expvar.Handler())
	mux.Handle("/", proxy)
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}
