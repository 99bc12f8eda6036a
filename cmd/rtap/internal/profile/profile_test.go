package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// made is a profile whose stacks are given from the outside in, with their cost in ns.
func made(stacks map[string]int64) *pprof.Profile {
	p := &pprof.Profile{SampleType: []*pprof.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	functions := map[string]*pprof.Location{}
	location := func(name string) *pprof.Location {
		if functions[name] == nil {
			id := uint64(len(functions) + 1)
			f := &pprof.Function{ID: id, Name: name, Filename: "x.go"}
			functions[name] = &pprof.Location{ID: id, Line: []pprof.Line{{Function: f, Line: 7}}}
			p.Function, p.Location = append(p.Function, f), append(p.Location, functions[name])
		}
		return functions[name]
	}
	for stack, ns := range stacks {
		s := &pprof.Sample{Value: []int64{1, ns}}
		for _, name := range strings.Split(stack, " ") {
			s.Location = append([]*pprof.Location{location(name)}, s.Location...)
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

func example() []taken {
	return []taken{
		{name: "vad host-1", profile: made(map[string]int64{"main.main silero.Run runtime.cgocall": 600e6, "main.main json.Marshal": 100e6})},
		{name: "stt host-2", profile: made(map[string]int64{"main.main f f f g": 250e6, "main.main<&\">": 50e6})},
		{name: "egress host-3", err: errors.New("it does not answer")},
	}
}

func TestTable(t *testing.T) {
	root, unit := tree(example(), "cpu")
	root.unit = unit
	var out bytes.Buffer
	if err := writeTable(&out, "RTAP: time", root, nil); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || out.String() != string(want) {
		t.Errorf("got\n%swant\n%s%v", &out, want, err)
	}
}

// box is a frame as it is drawn.
type box struct {
	name  string
	x, w  float64
	level string
}

// drawn reads the picture as a browser does: as XML.
func drawn(t *testing.T, picture []byte) (boxes []box) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return boxes
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, picture)
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "g" {
			continue
		}
		var b box
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "data-n":
				b.name = a.Value
			case "data-x":
				b.x, _ = strconv.ParseFloat(a.Value, 64)
			case "data-w":
				b.w, _ = strconv.ParseFloat(a.Value, 64)
			case "data-l":
				b.level = a.Value
			}
		}
		boxes = append(boxes, b)
	}
}

func TestFlameGraph(t *testing.T) {
	root, unit := tree(example(), "cpu")
	root.unit = unit
	var out bytes.Buffer
	if err := writeSVG(&out, "RTAP: <time>", root, nil); err != nil {
		t.Fatal(err)
	}
	boxes := drawn(t, out.Bytes())
	find := func(name, level string) box {
		for _, b := range boxes {
			if b.name == name && b.level == level {
				return b
			}
		}
		t.Fatalf("no %s at level %s in %v", name, level, boxes)
		return box{}
	}
	all := find("all processes", "0")
	if all.x != 0 || all.w != flameWidth {
		t.Errorf("the root is %v", all)
	}
	vad, stt := find("vad host-1", "1"), find("stt host-2", "1")
	if vad.w != 840 || stt.x != 840 || stt.w != 360 { // 700 and 300 of 1000 ms
		t.Errorf("processes at %v and %v", vad, stt)
	}
	if cgo := find("runtime.cgocall", "4"); cgo.x != 0 || cgo.w != 720 {
		t.Errorf("the costly function at %v", cgo)
	}
	find(`main.main<&">`, "2")
	if len(boxes) != 13 {
		t.Errorf("%d boxes: %v", len(boxes), boxes)
	}
	out.Reset()
	if err := writeHTML(&out, "RTAP: <time>", root, nil); err != nil || !strings.HasPrefix(out.String(), "<!doctype html>") || strings.Contains(strings.ReplaceAll(out.String(), "http://www.w3.org/2000/svg", ""), "http") {
		t.Errorf("the page asks for something outside, or is none: %v", err)
	}
}

func TestWatchNamesWhatGrows(t *testing.T) {
	first := memory{resident: 10 << 20, heap: 1 << 20, goroutines: 4, functions: map[string]int64{"a": 100, "b": 1000}}
	now := memory{resident: 12 << 20, heap: 3 << 20, goroutines: 5, functions: map[string]int64{"a": 2 << 20, "b": 900, "c": 5}}
	line := now.line(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "stt host-2", first)
	for _, want := range []string{"03:04:05  stt host-2", "12.0 MB", "+2.0 MB", "3.0 MB", " 5  +2.0 MB a"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

// TestProfiles takes every kind of this test's own process, in every form.
func TestProfiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "rtap-profile") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("RTAP_RUNTIME_DIR", dir)
	run := func(line string) (int, string) {
		var out bytes.Buffer
		line += " --set nats.url=nats://127.0.0.1:1 -d 0.05"
		err := Run(t.Context(), lifecycle.Env{Args: strings.Fields(line), Stdout: &out, Stderr: &out})
		if err != nil {
			out.WriteString(err.Error())
		}
		return lifecycle.Code(err), out.String()
	}
	if code, out := run("cpu"); code != 1 || !strings.Contains(out, "no process of RTAP answers") {
		t.Errorf("nobody there: code %d: %s", code, out)
	}
	metrics := obs.NewMetrics("vad", "v1")
	h := obs.NewHealth("vad", "host-1", "v1", metrics)
	l, err := control.Listen(t.Context(), "host-1")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: (&control.Process{Status: h.Status, Metrics: metrics.Registry}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	for kind := range kinds {
		if code, out := run(kind); code != 0 || !strings.Contains(out, "RTAP: "+kinds[kind].about) {
			t.Errorf("%s: code %d: %s", kind, code, out)
		}
	}
	for name, begins := range map[string]string{"p.svg": "<svg ", "p.html": "<!doctype", "p.pb.gz": "\x1f\x8b", "p.txt": "RTAP: goroutines"} {
		path := filepath.Join(dir, name)
		if code, out := run("goroutines -o " + path); code != 0 || !strings.Contains(out, path) {
			t.Errorf("%s: code %d: %s", name, code, out)
		}
		raw, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(raw), begins) {
			t.Errorf("%s: %.40q, %v", name, raw, err)
		}
	}
	if code, out := run("heap --watch --count 2 --interval 100ms"); code != 0 || strings.Count(out, "vad host-1") != 2 {
		t.Errorf("watch: code %d: %s", code, out)
	}
	for line, want := range map[string]string{
		"sing": "want cpu, heap", "": "want cpu, heap", "cpu --watch": "--watch is for heap", "cpu -o x.png": "ends in .svg",
		"heap --watch --interval 1ms": "at least 100ms", "cpu -d 99h": "at most 10m", "cpu -o /nowhere/x.svg": "/nowhere",
	} {
		if code, out := run(line); code != lifecycle.ExitUsage || !strings.Contains(out, want) {
			t.Errorf("%q: code %d: %s", line, code, out)
		}
	}
	if code, out := run("cpu --process stt"); code != 1 || !strings.Contains(out, "host-1 (vad)") {
		t.Errorf("nobody of that name: code %d: %s", code, out)
	}
}
