// Package httpapi answers requests for transcripts: pages of the log, exports as text and
// subtitles, the streams, and the documents that describe all of it.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// answerTime bounds a request whose answer is not sent piece by piece.
	answerTime = 20 * time.Second
)

// API answers. Safe for concurrent use.
type API struct {
	rt   *service.Runtime
	hub  *feed.Hub
	gate *access.Gate
	live func() []string
}

// New answers from what hub can read; live names the streams that are captured now.
func New(rt *service.Runtime, hub *feed.Hub, live func() []string) *API {
	return &API{rt: rt, hub: hub, gate: access.NewGate(rt.Config.Egress), live: live}
}

// Register adds the routes to mux, and an answer for paths that it does not have.
func (a *API) Register(mux *http.ServeMux) error {
	openapi, err := OpenAPI(a.rt.Version)
	if err != nil {
		return err
	}
	asyncapi, err := AsyncAPI(a.rt.Version)
	if err != nil {
		return err
	}
	protected := func(pattern string, h func(*http.Request, http.ResponseWriter) error) {
		mux.Handle(pattern, a.gate.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := a.ready(); err != nil {
				a.fail(w, r, err)
				return
			}
			if err := h(r, w); err != nil {
				a.fail(w, r, err)
			}
		})))
	}
	protected("GET /v1/transcripts", a.transcripts)
	protected("GET /v1/transcripts/{file}", a.export)
	protected("GET /v1/streams", a.streams)
	mux.Handle("OPTIONS /v1/", a.gate.Protect(http.NotFoundHandler()))
	mux.HandleFunc("GET /openapi.json", static("application/json", openapi))
	mux.HandleFunc("GET /asyncapi.yaml", static("application/yaml", asyncapi))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { missing(mux, w, r) })
	return nil
}

func static(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// missing answers for what no route has: 405 where another method would do, else 404.
func missing(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	get := r.Clone(r.Context())
	get.Method = http.MethodGet
	if _, pattern := mux.Handler(get); r.Method != http.MethodGet && pattern != "/" {
		w.Header().Set("Allow", "GET, HEAD")
		access.Problem(w, http.StatusMethodNotAllowed, r.Method+" is not for "+r.URL.Path)
		return
	}
	access.Problem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path+"; /docs lists what there is")
}

// refusal is an error with a status of its own.
type refusal struct {
	code   int
	detail string
}

func (e *refusal) Error() string { return e.detail }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// ready says why nothing can be read now.
func (a *API) ready() error {
	if p := a.rt.Bus.Problem(); p != "" {
		return refuse(http.StatusServiceUnavailable, "nats: %s", p)
	}
	return nil
}

// fail answers with an error; what the client cannot mend is written down.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *refusal
	w.Header().Del("Content-Disposition")
	switch {
	case r.Context().Err() != nil: // the client has gone
	case errors.As(err, &known):
		if known.code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		access.Problem(w, known.code, known.detail)
	default:
		a.rt.Log.Error("answering a request failed", "path", r.URL.Path, "error", err)
		a.rt.Metrics.Errors.WithLabelValues("egress", "http").Inc()
		access.Problem(w, http.StatusServiceUnavailable, "the transcript log cannot be read now: "+err.Error())
	}
}

// parameters reads the query; the first mistake stays in err.
type parameters struct {
	values url.Values
	err    error
}

// query refuses names that the request does not take: a misspelt one would be passed over.
func query(r *http.Request, names ...string) *parameters {
	p := &parameters{values: r.URL.Query()}
	known := map[string]bool{access.TokenParameter: true}
	for _, n := range names {
		known[n] = true
	}
	for name := range p.values {
		if !known[name] {
			p.bad("%s is not a parameter here; there are %v", name, names)
		}
	}
	return p
}

func (p *parameters) bad(format string, args ...any) {
	if p.err == nil {
		p.err = refuse(http.StatusBadRequest, format, args...)
	}
}

func (p *parameters) number(name string, least, most, otherwise uint64) uint64 {
	v := p.values.Get(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < least || n > most {
		p.bad("%s=%q: want a number from %d to %d", name, v, least, most)
	}
	return n
}

func (p *parameters) flag(name string) bool {
	v := p.values.Get(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		p.bad("%s=%q: want true or false", name, v)
	}
	return b
}

// moment is a time, or how long ago one was.
func (p *parameters) moment(name string, now time.Time) time.Time {
	v := p.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d)
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		p.bad("%s=%q: want a time such as 2026-11-24T02:11:58Z, or how long ago, such as 15m", name, v)
	}
	return t
}

func (p *parameters) stream(name string) string {
	v := p.values.Get(name)
	if v != "" {
		if err := bus.ValidateStreamID(v); err != nil {
			p.bad("%s: %s", name, err)
		}
	}
	return v
}

// log gives the id of the log, or refuses when the client means another one.
func (a *API) log(ctx context.Context, wanted string) (string, error) {
	id, err := a.rt.Bus.LogID(ctx)
	if err == nil && wanted != "" && wanted != id {
		err = refuse(http.StatusConflict, "log_id=%s is another log; this one is %s: start again without numbers", wanted, id)
	}
	return id, err
}

func (a *API) json(w http.ResponseWriter, v any) error {
	obs.WriteJSON(w, http.StatusOK, v)
	return nil
}
