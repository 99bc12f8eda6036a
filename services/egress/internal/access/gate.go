// Package access decides who may use the gateway over HTTP, says in one form why not, and
// writes down who came.
package access

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/config"
)

// TokenParameter is the query parameter that carries the token where a browser cannot set
// a header: WebSockets, links to exports, OBS sources.
const TokenParameter = "token"

// Gate holds the rules. Safe for concurrent use.
type Gate struct {
	token   string
	origins []string
}

// NewGate takes the rules from the configuration.
func NewGate(cfg config.Egress) *Gate {
	return &Gate{token: cfg.AuthToken, origins: cfg.WebSocket.AllowedOrigins}
}

// Schemes are what may stand before a token, in lower case.
var Schemes = []string{"bearer", "token"}

// Token says whether the request shows the token: as `Authorization: Bearer …` or
// `Authorization: Token …`, as a WebSocket subprotocol behind one of the schemes, or in the query; true when none is configured.
func (g *Gate) Token(r *http.Request) bool {
	return g.token == "" || subtle.ConstantTimeCompare([]byte(given(r)), []byte(g.token)) == 1
}

func given(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if slices.Contains(Schemes, strings.ToLower(scheme)) {
		return strings.TrimSpace(token)
	}
	offered := strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	for i := range len(offered) - 1 {
		if slices.Contains(Schemes, strings.ToLower(strings.TrimSpace(offered[i]))) {
			return strings.TrimSpace(offered[i+1])
		}
	}
	return r.URL.Query().Get(TokenParameter)
}

// Origin lets in programs (no Origin), pages of this server, and configured origins.
func (g *Gate) Origin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(g.origins, "*") || slices.Contains(g.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Protect answers 403 to pages of other origins and 401 to whoever lacks the token. Pages
// of allowed origins may read the answers.
func (g *Gate) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if !g.Origin(r) {
			Problem(w, http.StatusForbidden, "pages of "+r.Header.Get("Origin")+" are not let in (egress.websocket.allowed_origins)")
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		if r.Method == http.MethodOptions { // a browser asks before it sends the token
			w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if !g.Token(r) {
			AskForToken(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// AskForToken asks for the token.
func AskForToken(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rtap"`)
	Problem(w, http.StatusUnauthorized, "a bearer token is required (egress.auth_token): `Authorization: Bearer …`, or ?token= where a header cannot be set")
}

// Problem answers with the reason as problem details (RFC 9457).
func Problem(w http.ResponseWriter, code int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code, "detail": detail})
}
