// Package static carries the web pages inside the binary and serves them: hashed assets for ever, index.html for every
// page of the single-page application, and a plain page that says how to build when the pages were not built.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

const notBuilt = `<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>多多品 Duoduopin</title>
<h1>多多品 Duoduopin</h1>
<p>服务器已经运行,网页还没有构建。请在源码目录运行 <code>make build</code>,然后重新启动。</p>
<p lang="en">The server runs, but its pages were not built. Run <code>make build</code> in the source folder and start again.</p>
<p lang="en">The API is at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
</html>
`

// Handler serves the built pages. It answers GET and HEAD of any path: give it everything that no other route takes.
// Paths under /api/, /media/ and /assets/ that reach it are not pages and get 404.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path, so it can't happen
	}
	return handler(built)
}

func handler(built fs.FS) http.Handler {
	files := map[string]*file{}
	err := fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		switch hidden := name != "." && strings.HasPrefix(path.Base(name), "."); {
		case err != nil:
			return err
		case d.IsDir() && hidden:
			return fs.SkipDir // .vite: the build's own notes
		case !d.IsDir() && !hidden:
			files[name] = load(built, name)
		}
		return nil
	})
	if err != nil {
		panic(err) // embedded files can be read
	}
	index, ok := files["index.html"]
	if !ok {
		index = newFile("index.html", []byte(notBuilt))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		switch f, found := files[name]; {
		case found && name != "index.html":
			f.serve(w, r)
		case notAPage(name):
			http.NotFound(w, r)
		default:
			index.serve(w, r)
		}
	})
}

// notAPage: what asks for data or a file, not for a page; a page in its place would only confuse its client.
func notAPage(name string) bool {
	for _, p := range []string{"api/", "media/", "assets/"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return path.Ext(name) != "" && name != "index.html"
}

// file is one page file in memory; it is compressed when it is first asked for compressed.
type file struct {
	body    []byte
	zipped  func() []byte // nil: not worth it
	typ     string
	etag    string
	caching string
}

func load(built fs.FS, name string) *file {
	body, err := fs.ReadFile(built, name)
	if err != nil {
		panic(err) // embedded files can be read
	}
	return newFile(name, body)
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	f := &file{body: body, typ: typeOf(name), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, caching: "public, max-age=3600"}
	switch {
	case strings.HasPrefix(name, "assets/"): // their names carry a hash of what is in them
		f.caching = "public, max-age=31536000, immutable"
	case name == "index.html":
		f.caching = "no-cache"
	}
	if len(body) > 1024 && compressible(f.typ) {
		f.zipped = sync.OnceValue(func() []byte { return zip(body) })
	}
	return f
}

// typeOf does not ask the machine's MIME tables for what we ship, so that every machine answers the same.
func typeOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

func compressible(typ string) bool {
	return strings.HasPrefix(typ, "text/") || strings.Contains(typ, "svg") || strings.Contains(typ, "json")
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = z.Write(body) // into memory: can't fail
	_ = z.Close()
	return b.Bytes()
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", f.caching)
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.typ)
	body := f.body
	if f.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body = f.zipped()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is its own business
	}
}
