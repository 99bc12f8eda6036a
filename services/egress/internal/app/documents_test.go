package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/httpapi"
	"github.com/rtap/rtap/services/egress/internal/websocket"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway answers with every route there is, on a bus of its own.
func gateway(t *testing.T, token string) (*httptest.Server, *bus.Bus) {
	t.Helper()
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	cfg.Egress.AuthToken = token
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Config: cfg, Log: log, Service: "egress", Version: "v1", Metrics: m, Bus: b, Health: obs.NewHealth("egress", "i", "v1", m)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait(); b.Conn().Close() })
	if err := b.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := newOverview(rt, func([]*rtapv1.ServiceStatus) {})
	o.seen = []*rtapv1.ServiceStatus{rt.Health.Status(), {Service: "capture", Instance: "c", Streams: []string{"s"}, Reasons: []string{"no device"}}}
	hub := feed.NewHub(rt)
	mux, err := routes(rt, hub, websocket.New(rt, hub, websocket.NewDoor(rt)), o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s, b
}

func openapi(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	raw, err := httpapi.OpenAPI("v1")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"text/html", "text/vtt", "application/x-subrip", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// TestAnswersAreAsDocumented asks everything that the document has, rightly and wrongly, and
// holds the answers against it.
func TestAnswersAreAsDocumented(t *testing.T) {
	testkit.RequireNative(t, redocIsBuiltIn(t))
	server, b := gateway(t, "secret")
	doc, router := openapi(t)
	var last uint64
	for _, e := range []wire.Entry{
		{Results: full(&rtapv1.Results{}).(*rtapv1.Results)}, {UtteranceEnd: full(&rtapv1.UtteranceEnd{}).(*rtapv1.UtteranceEnd)},
		{StreamEnd: full(&rtapv1.StreamEnd{}).(*rtapv1.StreamEnd)},
	} {
		var err error
		if last, err = b.StoreFinal(t.Context(), e, last); err != nil {
			t.Fatal(err)
		}
	}
	asked := map[string]bool{}
	for _, tt := range []struct {
		path string
		code int
	}{
		{"/v1/transcripts?token=secret&markers=true", 200}, {"/v1/transcripts?token=secret&stream=s&from_seq=1&limit=5&since=1h&after=0", 200},
		{"/v1/transcripts", 401}, {"/v1/transcripts?token=secret&log_id=x", 409}, {"/v1/transcripts?token=secret&since=x", 400},
		{"/v1/transcripts/s.json?token=secret", 200}, {"/v1/transcripts/s.txt?token=secret", 200}, {"/v1/transcripts/s.srt?token=secret", 200},
		{"/v1/transcripts/s.vtt?token=secret", 200}, {"/v1/transcripts/x.txt?token=secret", 404}, {"/v1/transcripts/s.txt", 401},
		{"/v1/transcripts/s.txt?token=secret&since=x", 400},
		{"/v1/streams?token=secret", 200}, {"/v1/streams", 401}, {"/health", 503}, {"/healthz", 200}, {"/readyz", 503}, {"/metrics", 200},
		{"/openapi.json", 200}, {"/asyncapi.yaml", 200}, {"/docs", 200}, {"/redoc?document=asyncapi", 200}, {"/", 200},
		{"/overlay?size=20&lines=3&align=left&position=top&fade=0&names=true", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.code {
			t.Errorf("%s: %d %v: %s", tt.path, res.StatusCode, err, body)
			continue
		}
		req.URL.Host, req.URL.Scheme, req.Host = "", "", "" // the document's server is /
		route, params, err := router.FindRoute(req)
		if err != nil {
			t.Errorf("%s is not in the document: %v", tt.path, err)
			continue
		}
		asked[route.Path] = true
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
		if tt.code < 400 {
			if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
				t.Errorf("%s: %v", tt.path, err)
			}
		}
		err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
		if err != nil {
			t.Errorf("%s: the answer is not as documented: %v\n%s", tt.path, err, body)
		}
	}
	for path := range doc.Paths.Map() {
		if !asked[path] {
			t.Errorf("%s is documented and was not asked", path)
		}
	}
}

// redocIsBuiltIn says what is missing where `make deps` has not run.
func redocIsBuiltIn(t *testing.T) error {
	_, err := os.Stat(filepath.Join(testkit.Root(t), "services/egress/internal/web/fetched/redoc.standalone.js"))
	return err
}

// full gives every field of a message a value, so that the schema sees each.
func full(m protoreflect.ProtoMessage) protoreflect.ProtoMessage {
	fill(m.ProtoReflect())
	return m
}

func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() && f.MapValue().Kind() == protoreflect.MessageKind:
			values := m.Mutable(f).Map()
			v := values.NewValue()
			fill(v.Message())
			values.Set(protoreflect.ValueOfString("key").MapKey(), v)
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString("value"))
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).List().AppendMutable().Message())
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f))
		case f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message())
		case f.Name() == "type":
			m.Set(f, protoreflect.ValueOfString(string(m.Descriptor().Name())))
		case f.Name() == "stream_id":
			m.Set(f, protoreflect.ValueOfString("s"))
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(0.5)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	default:
		return protoreflect.ValueOfFloat64(0.5)
	}
}

// TestSchemasAreTheMessages: the documents have each field of the messages, and no other.
func TestSchemasAreTheMessages(t *testing.T) {
	doc, _ := openapi(t)
	seen := map[protoreflect.Name]bool{}
	var compare func(d protoreflect.MessageDescriptor)
	compare = func(d protoreflect.MessageDescriptor) {
		name := strings.TrimPrefix(string(d.Name()), "Service")
		if d.Name() == "ServiceStatus" {
			name = "ServiceStatus"
		}
		if seen[d.Name()] {
			return
		}
		seen[d.Name()] = true
		ref := doc.Components.Schemas[name]
		if ref == nil {
			t.Errorf("schemas.yaml lacks %s", name)
			return
		}
		var fields, always []string
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			fields = append(fields, string(f.Name()))
			nested := f.Kind() == protoreflect.MessageKind && !f.IsMap()
			optional := nested && !f.IsList() // an unset message is left out
			if !optional || slices.Contains(ref.Value.Required, string(f.Name())) {
				always = append(always, string(f.Name()))
			}
			if nested && f.Message().ParentFile().Package() == d.ParentFile().Package() {
				compare(f.Message())
			}
		}
		if got := slices.Sorted(maps.Keys(ref.Value.Properties)); !slices.Equal(got, slices.Sorted(slices.Values(fields))) {
			t.Errorf("%s in schemas.yaml has %v, the message has %v", name, got, fields)
		}
		if got := slices.Sorted(slices.Values(ref.Value.Required)); !slices.Equal(got, slices.Sorted(slices.Values(always))) {
			t.Errorf("%s in schemas.yaml requires %v, always there are %v", name, got, always)
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := wire.MarshalJSON(full(kind.New().Interface()))
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatal(err)
		}
		types := map[protoreflect.Name]string{"ServiceEvent": "Event", "VadEvent": "Level", "ListenError": "Error"}
		if kind, other := types[d.Name()]; other {
			value["type"] = kind
		}
		if err := ref.Value.VisitJSON(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, m := range []protoreflect.ProtoMessage{
		&rtapv1.Results{}, &rtapv1.UtteranceEnd{}, &rtapv1.StreamEnd{}, &rtapv1.ServiceEvent{}, &rtapv1.ServiceStatus{}, &rtapv1.VadEvent{},
		&rtapv1.SpeechStarted{}, &rtapv1.Metadata{}, &rtapv1.ListenError{},
	} {
		compare(m.ProtoReflect().Descriptor())
	}
}

// TestEveryRouteIsDocumented reads the routes out of the sources.
func TestEveryRouteIsDocumented(t *testing.T) {
	doc, _ := openapi(t)
	known := map[string]bool{"/{$}": true, "/assets/{name}": true, "/docs/": true, "/redoc/{$}": true} // the page, and what pages load
	for path := range doc.Paths.Map() {
		known[path] = true
	}
	raw, err := httpapi.AsyncAPI("v1")
	if err != nil {
		t.Fatal(err)
	}
	var feeds struct {
		AsyncAPI string `yaml:"asyncapi"`
		Info     struct{ Version string }
		Channels map[string]struct {
			Address  string
			Messages map[string]map[string]string
		}
		Components struct {
			Messages map[string]struct{ Payload map[string]string }
			Schemas  map[string]any
		}
	}
	if err := yaml.Unmarshal(raw, &feeds); err != nil {
		t.Fatal(err)
	}
	if feeds.AsyncAPI != "3.0.0" || feeds.Info.Version != "v1" {
		t.Errorf("asyncapi %s of version %s", feeds.AsyncAPI, feeds.Info.Version)
	}
	for name, c := range feeds.Channels {
		known[c.Address] = true
		for _, m := range c.Messages {
			message, ok := feeds.Components.Messages[strings.TrimPrefix(m["$ref"], "#/components/messages/")]
			if _, defined := feeds.Components.Schemas[strings.TrimPrefix(message.Payload["$ref"], "#/components/schemas/")]; !ok || !defined {
				t.Errorf("channel %s: %v leads nowhere", name, m)
			}
		}
	}
	route := regexp.MustCompile(`"(?:GET|POST|PUT|DELETE|PATCH) (/[^"]*)"`)
	for _, dir := range []string{"services/egress/internal", "pkg/obs"} {
		files, err := filepath.Glob(filepath.Join(testkit.Root(t), dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		deeper, err := filepath.Glob(filepath.Join(testkit.Root(t), dir, "*", "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(files, deeper...) {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range route.FindAllStringSubmatch(string(src), -1) {
				if !known[m[1]] && !strings.HasPrefix(m[1], "/debug/") { // not on the gateway's ports
					t.Errorf("%s answers %s, which stands neither in openapi.yaml nor in asyncapi.yaml (services/egress/internal/httpapi)", filepath.Base(file), m[1])
				}
			}
		}
	}
}

func TestHealthHasListsEvenWhenEmpty(t *testing.T) {
	server, _ := gateway(t, "")
	for _, path := range []string{"/health", "/readyz"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if _, list := got["reasons"].([]any); err != nil || !list {
			t.Errorf("%s: %v %v", path, got, err)
		}
	}
}
