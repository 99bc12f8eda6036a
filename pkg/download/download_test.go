package download_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/download"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<14)

// serve answers like a server that knows ranges; handle may answer request n itself.
func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request) bool) (url string, ranges *[]string) {
	t.Helper()
	ranges = &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*ranges = append(*ranges, r.Header.Get("Range"))
		if handle != nil && handle(len(*ranges), w, r) {
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, ranges
}

// cut sends the first n bytes of the content and breaks the connection.
func cut(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	_, _ = w.Write(content[:n])
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
	panic(http.ErrAbortHandler)
}

func status(code int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

func first(answer func(w http.ResponseWriter, r *http.Request)) func(int, http.ResponseWriter, *http.Request) bool {
	return func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			answer(w, r)
		}
		return n == 1
	}
}

func TestFile(t *testing.T) {
	half := len(content) / 2
	tests := map[string]struct {
		part     []byte
		handle   func(n int, w http.ResponseWriter, r *http.Request) bool
		attempts int
		ranges   []string // what the server was asked for
		wantErr  string   // nothing may lie at the path then
	}{
		"whole":                 {attempts: 1, ranges: []string{""}},
		"goes on":               {part: content[:half], attempts: 1, ranges: []string{fmt.Sprintf("bytes=%d-", half)}},
		"part is whole":         {part: content, attempts: 1},
		"part is too long":      {part: append(bytes.Clone(content), 'x'), attempts: 1, ranges: []string{""}},
		"server error, again":   {handle: first(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), attempts: 2, ranges: []string{"", ""}},
		"not found is no retry": {handle: status(404), attempts: 5, ranges: []string{""}, wantErr: "404"},
		"attempts end":          {handle: status(503), attempts: 3, ranges: []string{"", "", ""}, wantErr: "503"},
		"server without ranges": {part: []byte("wrong"), attempts: 1, ranges: []string{"bytes=5-"}, handle: first(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })},
		"range not satisfiable": {part: content[:9], attempts: 2, ranges: []string{"bytes=9-", ""}, handle: first(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(416) })},
		"another range comes": {part: content[:9], attempts: 2, ranges: []string{"bytes=9-", ""}, handle: first(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=3-")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})},
		"shorter than announced": {attempts: 1, ranges: []string{""}, handle: first(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[:9]) }), wantErr: "after 9 of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, ranges := serve(t, tt.handle)
			path := filepath.Join(t.TempDir(), "a.tgz")
			if tt.part != nil {
				if err := os.WriteFile(path+".part", tt.part, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := download.File(t.Context(), request(url, path, tt.attempts))
			if fmt.Sprint(*ranges) != fmt.Sprint(tt.ranges) {
				t.Errorf("asked for %q, want %q", *ranges, tt.ranges)
			}
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got %v, want %q", err, tt.wantErr)
				}
				if _, err := os.Stat(path); err == nil {
					t.Error("a file that is not whole lies in place")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			same(t, path)
		})
	}
}

func TestFileGoesOnAfterACut(t *testing.T) {
	url, ranges := serve(t, first(func(w http.ResponseWriter, _ *http.Request) { cut(w, len(content)/2) }))
	path := filepath.Join(t.TempDir(), "a.tgz")
	if err := download.File(t.Context(), request(url, path, 2)); err != nil {
		t.Fatal(err)
	}
	same(t, path)
	if len(*ranges) != 2 || !strings.HasPrefix((*ranges)[1], "bytes=") {
		t.Errorf("asked for %q, want the rest the second time", *ranges)
	}
}

func TestFileLeavesASilentServer(t *testing.T) {
	url, _ := serve(t, first(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	path := filepath.Join(t.TempDir(), "a.tgz")
	r := request(url, path, 2)
	r.Stall = 100 * time.Millisecond
	var said bytes.Buffer
	r.Progress = &said
	if err := download.File(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	same(t, path)
	if !strings.Contains(said.String(), "no data came for 100ms") {
		t.Errorf("said %q", said.String())
	}
}

func TestFileStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := serve(t, func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	err := download.File(ctx, request(url, filepath.Join(t.TempDir(), "a.tgz"), 5))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func request(url, path string, attempts int) download.Request {
	return download.Request{
		URL: url, Path: path, Name: "a", Size: int64(len(content)),
		Attempts: attempts, Backoff: time.Millisecond, Stall: time.Minute, Progress: &bytes.Buffer{},
	}
}

func same(t *testing.T, path string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v; want the %d served", len(got), err, len(content))
	}
	if _, err := os.Stat(path + ".part"); err == nil {
		t.Error("the part file is still there")
	}
}
