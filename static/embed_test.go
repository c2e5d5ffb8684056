package static

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHandler(t *testing.T) {
	long := strings.Repeat("let a = 1;", 500)
	built := handler(fstest.MapFS{
		".keep":               {},
		"index.html":          {Data: []byte("<html>app</html>")},
		".vite/manifest.json": {Data: []byte("{}")},
		"favicon.svg":         {Data: []byte("<svg/>")},
		"assets/main-abc1.js": {Data: []byte(long)},
	})
	empty := handler(fstest.MapFS{".keep": {}})
	tests := []struct {
		name, method, path string
		h                  http.Handler
		status             int
		caching, has       string
	}{
		{"home", "GET", "/", built, 200, "no-cache", "app"},
		{"a page of the application", "GET", "/s/7", built, 200, "no-cache", "app"},
		{"index by name", "GET", "/index.html", built, 200, "no-cache", "app"},
		{"an asset", "GET", "/assets/main-abc1.js", built, 200, "public, max-age=31536000, immutable", "let a"},
		{"an asset of another build", "GET", "/assets/main-old.js", built, 404, "", "not found"},
		{"an icon", "GET", "/favicon.svg", built, 200, "public, max-age=3600", "svg"},
		{"a file that is not there", "GET", "/robots.txt", built, 404, "", ""},
		{"an unknown API path", "GET", "/api/v1/nothing", built, 404, "", ""},
		{"hidden files", "GET", "/.keep", built, 404, "", ""},
		{"the build's notes", "GET", "/.vite/manifest.json", built, 404, "", ""},
		{"climbing", "GET", "/../embed.go", built, 404, "", ""},
		{"writing", "POST", "/", built, 405, "", ""},
		{"not built", "GET", "/", empty, 200, "no-cache", "make build"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.h.ServeHTTP(w, httptest.NewRequest(tt.method, "http://x"+tt.path, nil))
			if w.Code != tt.status || w.Header().Get("Cache-Control") != tt.caching || !strings.Contains(w.Body.String(), tt.has) {
				t.Errorf("%d %q %.60s", w.Code, w.Header().Get("Cache-Control"), w.Body.String())
			}
		})
	}

	r := httptest.NewRequest("GET", "/assets/main-abc1.js", nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	w := httptest.NewRecorder()
	built.ServeHTTP(w, r)
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > len(long)/10 {
		t.Errorf("not compressed: %v, %d bytes", w.Header(), w.Body.Len())
	}
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	w = httptest.NewRecorder()
	built.ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Errorf("a known ETag got %d", w.Code)
	}
}
