// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
)

// TestOctokit uses GitHub's SDK. The base URL has a path, as GitHub Enterprise Server's has.
func TestOctokit(t *testing.T) {
	s := service{
		start: func(t *testing.T) string {
			return serve(t, guarded("Authorization", "token "+key, github())) + "/api/v3"
		},
		lines: "auth api_key Authorization " + key + " {\nprefix token\n}",
	}
	compare(t, "octokit", s, func(t *testing.T, w way) transcript { return script(t, "octokit.mjs", w) })
}

// github answers as the API does: its links are absolute, and made of the Host that it is called
// by.
func github() http.Handler {
	mux := http.NewServeMux()
	const root = "/api/v3"
	mux.HandleFunc("GET "+root+"/user", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"login": "ann"})
	})
	mux.HandleFunc("GET "+root+"/repos/ann/one/issues", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		page = max(page, 1)
		link := func(n int, rel string) string {
			return fmt.Sprintf(`<http://%s%s/repositories/7/issues?per_page=2&page=%d>; rel="%s"`, r.Host, root, n, rel)
		}
		if page == 1 {
			w.Header().Set("Link", link(2, "next")+", "+link(3, "last"))
		}
		answerJSON(w, numbers(page))
	})
	mux.HandleFunc("GET "+root+"/repositories/7/issues", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page < 3 {
			w.Header().Add("Link", fmt.Sprintf(`<http://%s%s/repositories/7/issues?per_page=2&page=%d>; rel="prev"`, r.Host, root, page-1))
			w.Header().Add("Link", fmt.Sprintf(`<http://%s%s/repositories/7/issues?per_page=2&page=%d>; rel="next"`, r.Host, root, page+1))
		}
		answerJSON(w, numbers(page))
	})
	mux.HandleFunc("GET "+root+"/paths", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s/paths?page=2>; rel="next"`, r.Host, root))
		}
		answerJSON(w, numbers(1))
	})
	mux.HandleFunc("GET "+root+"/repos/ann/{repo}", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.PathValue("repo") == "old":
			w.Header().Set("Location", "http://"+r.Host+root+"/repositories/7")
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = io.WriteString(w, `{"message":"Moved Permanently"}`)
		case r.PathValue("repo") != "one":
			refuse(w, http.StatusNotFound, "Not Found")
		case r.Header.Get("If-None-Match") != "":
			w.Header().Set("ETag", `"v1"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			answerJSON(w, map[string]any{"name": "one"})
		}
	})
	mux.HandleFunc("GET "+root+"/repositories/7", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"name": "new"})
	})
	mux.HandleFunc("GET "+root+"/repos/ann/one/contents/{path...}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]any{"target": r.RequestURI[len(root):], "path": r.PathValue("path")})
	})
	mux.HandleFunc("GET "+root+"/repos/ann/one/zipball/main", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://codeload.example.com/ann/one/legacy.zip/main?token=once")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("POST "+root+"/repos/ann/one/issues", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://"+r.Host+root+"/repos/ann/one/issues/9")
		w.Header().Set("X-Ratelimit-Remaining", "4999")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"number":9,"bytes":%d}`, n)
	})
	mux.HandleFunc("POST "+root+"/repos/ann/one/releases/1/assets", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		answerJSON(w, map[string]any{"name": r.URL.Query().Get("name"), "size": n, "type": r.Header.Get("Content-Type")})
	})
	mux.HandleFunc("PUT "+root+"/user/starred/ann/one", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// numbers is a page of two issues.
func numbers(page int) []any {
	return []any{map[string]any{"number": 2*page - 1}, map[string]any{"number": 2 * page}}
}
