// Package web holds the gateway's pages: live captions, the overlay for OBS, and the API
// documents in Swagger UI and Redoc. All of it is in the program, and a policy in each
// answer keeps browsers from asking anybody else.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"

	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

//go:embed *.html assets
var pages embed.FS

// The script that `make deps` brings; only the note beside it is in the repository.
//
//go:embed fetched
var fetched embed.FS

const redocScript = "fetched/redoc.standalone.js"

// What a page may load: its own server's files, and for the documents' pages the styles
// and scripts that they hold themselves.
const (
	strict  = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'"
	relaxed = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;" +
		" font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'"
)

// Register adds the pages to mux.
func Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", page("captions.html", strict))
	mux.HandleFunc("GET /overlay", page("overlay.html", strict))
	mux.HandleFunc("GET /assets/{name}", asset)
	swagger := v5emb.NewHandlerWithConfig(swgui.Config{Title: "RTAP API", SwaggerJSON: "/openapi.json", BasePath: "/docs/"})
	mux.Handle("GET /docs", policy(relaxed, swagger))
	mux.Handle("GET /docs/", policy(relaxed, swagger))
	mux.HandleFunc("GET /redoc", func(w http.ResponseWriter, r *http.Request) {
		if _, err := fs.Stat(fetched, redocScript); err != nil {
			access.Problem(w, http.StatusServiceUnavailable, "this build lacks Redoc: run `make deps`, then `make build`; /docs shows the same document")
			return
		}
		page("redoc.html", relaxed)(w, r)
	})
	// The page names its files beside itself, so there is one address of it.
	mux.HandleFunc("GET /redoc/{$}", func(w http.ResponseWriter, r *http.Request) {
		to := "../redoc"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", to) // relative, for proxies that serve it below a path
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

func policy(csp string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("Referrer-Policy", "no-referrer") // the address may hold a token
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func page(name, csp string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		policy(csp, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, pages, name) })).ServeHTTP(w, r)
	}
}

// asset serves scripts, styles and the icon.
func asset(w http.ResponseWriter, r *http.Request) {
	name := "assets/" + r.PathValue("name")
	var from fs.FS = pages
	if strings.HasSuffix(redocScript, "/"+r.PathValue("name")) {
		name, from = redocScript, fetched
	}
	if st, err := fs.Stat(from, name); err != nil || st.IsDir() {
		access.Problem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	policy(strict, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, from, name) })).ServeHTTP(w, r)
}
