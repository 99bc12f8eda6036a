package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/backup"
	"github.com/rtap/rtap/cmd/rtap/internal/up"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rtap-backup-test") // nobody answers on sockets there
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("RTAP_RUNTIME_DIR", dir); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// call runs a command line of backup or restore.
func call(t *testing.T, run lifecycle.App, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	err := run(t.Context(), lifecycle.Env{Version: "v1.2.3", Args: args, Stdout: &b, Stderr: &b})
	if err != nil {
		b.WriteString(err.Error())
	}
	return lifecycle.Code(err), b.String()
}

// fill stores finals of two streams, a given-up job, events, a setting and work in progress.
func fill(t *testing.T, b *bus.Bus) {
	t.Helper()
	ctx := t.Context()
	logID, err := b.LogID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for stream, n := range map[string]int{"mic": 40, "desk-2": 3} {
		var last uint64
		for seq := 1; seq <= n; seq++ {
			r := wire.NewResults(&rtapv1.Span{StartSample: 1, EndSample: 2}, &rtapv1.Recognition{Text: fmt.Sprintf(`<%d> & "log_id":"none" ü`, seq)})
			r.IsFinal, r.Rtap.StreamId, r.Rtap.Seq, r.Rtap.Ordinal, r.Rtap.LogId = true, stream, uint32(seq), uint32(seq), logID
			if last, err = b.StoreFinal(ctx, wire.Entry{Results: r}, last); err != nil {
				t.Fatal(err)
			}
		}
		end := &rtapv1.UtteranceEnd{Type: "UtteranceEnd", Rtap: &rtapv1.MarkerRtap{StreamId: stream, Ordinal: uint32(n + 1), LogId: logID}}
		if _, err := b.StoreFinal(ctx, wire.Entry{UtteranceEnd: end}, last); err != nil {
			t.Fatal(err)
		}
	}
	job := &rtapv1.FinalJob{StreamId: "mic", Ordinal: 7, SegmentId: "s7", Pcm: bytes.Repeat([]byte{0, 255, '\n'}, 100_000)}
	if err := b.PublishDead(ctx, &rtapv1.DeadJob{Job: job, Reason: "it crashed the engine"}); err != nil {
		t.Fatal(err)
	}
	b.Emit(&rtapv1.ServiceEvent{Type: "Event", Service: "stt", Kind: "state", Message: "state changed"})
	if _, err := b.SetSetting(ctx, "log.level/stt", "DEBUG"); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishJob(ctx, &rtapv1.FinalJob{StreamId: "mic", Ordinal: 41, SegmentId: "s41"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StoreCheckpoint(ctx, &rtapv1.Checkpoint{StreamId: "mic", Ordinal: 41}, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
}

// contents are the messages of a stream, oldest first.
func contents(t *testing.T, b *bus.Bus, stream string) []*jetstream.RawStreamMsg {
	t.Helper()
	s, err := b.JS().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	var out []*jetstream.RawStreamMsg
	for seq := s.CachedInfo().State.FirstSeq; seq > 0 && seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func server(t *testing.T) (*bus.Bus, string) {
	t.Helper()
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	return b, cfg.NATS.URL
}

// file makes a backup of a filled server and returns its path.
func file(t *testing.T) (path string, from *bus.Bus) {
	t.Helper()
	from, url := server(t)
	fill(t, from)
	dir := t.TempDir()
	code, out := call(t, backup.Run, dir, "--nats", url, "--config", filepath.Join(testkit.Root(t), "config", "default.yaml"))
	backups, leftovers, err := backup.List(dir)
	if code != 0 || err != nil || len(backups) != 1 || len(leftovers) != 0 {
		t.Fatalf("code %d, %v, %v, %v: %s", code, backups, leftovers, err, out)
	}
	configs, _ := filepath.Glob(filepath.Join(testkit.Root(t), "config", "*.yaml"))
	if !strings.Contains(out, fmt.Sprintf("finals: 43, given-up jobs: 1, events: 1, configuration files: %d;", len(configs))) {
		t.Errorf("it says: %s", out)
	}
	st, err := os.Stat(backups[0])
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	return backups[0], from
}

func TestRestoreIntoAnEmptyServer(t *testing.T) {
	path, from := file(t)
	to, url := server(t)
	configs := filepath.Join(t.TempDir(), "config")
	code, out := call(t, backup.Restore, filepath.Dir(path), "--nats", url, "--config-dir", configs)
	if code != 0 || !strings.Contains(out, "is whole") {
		t.Fatalf("code %d: %s", code, out)
	}
	restored(t, from, to)
	for _, name := range []string{"default.yaml", "main_pc.yaml", "pc2.yaml"} {
		was, err1 := os.ReadFile(filepath.Join(testkit.Root(t), "config", name))
		is, err2 := os.ReadFile(filepath.Join(configs, name))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
	// A backup of what was restored is the same again, with the times of the first.
	second := filepath.Join(t.TempDir(), "again.tar.gz")
	if code, out := call(t, backup.Run, second, "--nats", url); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	third, url3 := server(t)
	if code, out := call(t, backup.Restore, second, "--nats", url3); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	restored(t, from, third)
	for i, m := range contents(t, third, bus.StreamTranscripts) {
		if was, is := contents(t, from, bus.StreamTranscripts)[i].Time.UTC().Format(time.RFC3339Nano), m.Header.Get("Rtap-Stored-At"); was != is {
			t.Fatalf("message %d was stored at %s, and is said to have been at %s", i, was, is)
		}
	}
}

// restored compares what was backed up with what a server holds now.
func restored(t *testing.T, from, to *bus.Bus) {
	t.Helper()
	oldID, err1 := from.LogID(t.Context())
	newID, err2 := to.LogID(t.Context())
	if err := errors.Join(err1, err2); err != nil || oldID == newID || newID == "" {
		t.Fatalf("log ids %s and %s, %v", oldID, newID, err)
	}
	was, is := contents(t, from, bus.StreamTranscripts), contents(t, to, bus.StreamTranscripts)
	if len(was) != len(is) {
		t.Fatalf("%d entries, want %d", len(is), len(was))
	}
	for i := range was {
		want := bytes.ReplaceAll(was[i].Data, []byte(oldID), []byte(newID))
		if was[i].Subject != is[i].Subject || !bytes.Equal(want, is[i].Data) {
			t.Fatalf("entry %d: got %s %s, want %s %s", i, is[i].Subject, is[i].Data, was[i].Subject, want)
		}
		if got := is[i].Header.Get(wire.ContentTypeHeader); got != wire.JSON {
			t.Fatalf("entry %d has content type %q", i, got)
		}
	}
	wasDead, isDead := contents(t, from, bus.StreamDead), contents(t, to, bus.StreamDead)
	if len(isDead) != 1 || !bytes.Equal(wasDead[0].Data, isDead[0].Data) {
		t.Errorf("given-up jobs differ")
	}
	if err := proto.Unmarshal(isDead[0].Data, &rtapv1.DeadJob{}); err != nil {
		t.Error(err)
	}
	events := contents(t, to, bus.StreamEvents)
	if len(events) < 2 || !bytes.Contains(events[0].Data, []byte("state changed")) || !bytes.Contains(events[len(events)-1].Data, []byte("restored from a backup")) {
		t.Errorf("%d events", len(events))
	}
	settings, err := to.Settings(t.Context())
	if err != nil || len(settings) != 1 || settings["log.level/stt"] != "DEBUG" {
		t.Errorf("settings %v, %v", settings, err)
	}
	for _, name := range []string{bus.StreamAudio, bus.StreamIngest, bus.StreamDrafts, bus.StreamJobs, bus.StreamResults, "KV_" + bus.BucketCheckpoints, "KV_" + bus.BucketLeases} {
		if left := contents(t, to, name); len(left) > 0 {
			t.Errorf("%s holds %d messages", name, len(left))
		}
	}
	// Numbers go on where they were.
	last, at, err := to.LastFinal(t.Context(), "mic")
	if err != nil || last.Ordinal() != 41 {
		t.Fatalf("last final %v, %v", last, err)
	}
	if highest, err := to.HighestOrdinal(t.Context(), "mic"); err != nil || highest != 41 {
		t.Errorf("highest ordinal %d, %v", highest, err)
	}
	_ = at
}

func TestRestoreIntoARunningServer(t *testing.T) {
	path, from := file(t)
	to, url := server(t)
	fill(t, to)
	before, err := to.LogID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	code, out := call(t, backup.Restore, path, "--nats", url)
	if code != lifecycle.ExitUsage || !strings.Contains(out, "holds 45 messages in RTAP_TRANSCRIPTS already: --replace") {
		t.Fatalf("without --replace: code %d: %s", code, out)
	}
	if id, _ := to.LogID(t.Context()); id != before {
		t.Fatal("a refused restore changed the log")
	}
	if code, out := call(t, backup.Restore, path, "--nats", url, "--replace"); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	restored(t, from, to)
}

func TestRestoreBesideRunningProcesses(t *testing.T) {
	path, _ := file(t)
	b, url := server(t)
	h := obs.NewHealth("vad", "host-7", "v1", obs.NewMetrics("vad", "v1"))
	h.SetAttribute(bus.AttributeServer, bus.ServerOf(b.Conn()))
	l, err := control.Listen(t.Context(), "host-7")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: (&control.Process{Status: h.Status}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	if code, out := call(t, backup.Restore, path, "--nats", url); code != lifecycle.ExitUsage || !strings.Contains(out, "stop these processes first") || !strings.Contains(out, "vad (host-7)") {
		t.Errorf("code %d: %s", code, out)
	}
}

func TestDamagedBackups(t *testing.T) {
	path, _ := file(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to, url := server(t)
	fill(t, to)
	before, err := to.LogID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for name, raw := range map[string][]byte{
		"empty": {}, "no archive": []byte("words"), "ten bytes": whole[:10], "a third": whole[:len(whole)/3], "half": whole[:len(whole)/2],
		"all but the end": whole[:len(whole)-1], "all but the trailer": whole[:len(whole)-8], "a bit flipped": flipped,
	} {
		bad := filepath.Join(t.TempDir(), "bad.tar.gz")
		if err := os.WriteFile(bad, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{bad, "--check"}, {bad, "--nats", url, "--replace"}} {
			code, out := call(t, backup.Restore, args...)
			if code != lifecycle.ExitUsage || !strings.Contains(out, "half-written or damaged") || strings.Contains(out, "\n") {
				t.Errorf("%s: code %d: %s", name, code, out)
			}
		}
	}
	if id, _ := to.LogID(t.Context()); id != before {
		t.Error("a damaged backup changed the server")
	}
	if code, out := call(t, backup.Restore, path, "--check"); code != 0 || !strings.Contains(out, "finals: 43,") {
		t.Errorf("the whole one: code %d: %s", code, out)
	}
}

// TestBackupOfAStoppedPipeline reads and writes the data of an `rtap up` that is not there.
func TestBackupOfAStoppedPipeline(t *testing.T) {
	dir := t.TempDir()
	start := func() (*up.Server, *bus.Bus) {
		s, err := up.StartServer(t.Context(), up.ServerOptions{Host: "127.0.0.1", Port: -1, Dir: filepath.Join(dir, "nats"), StorageMB: 4096, MemoryMB: 256})
		if err != nil {
			t.Fatal(err)
		}
		cfg := config.Default()
		cfg.NATS.URL = s.URL()
		return s, testkit.Connect(t, cfg)
	}
	s, b := start()
	fill(t, b)
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	if code, out := call(t, backup.Run, path, "--data-dir", dir); code != lifecycle.ExitUsage || !strings.Contains(out, "another `rtap up` uses it") {
		t.Errorf("while it runs: code %d: %s", code, out)
	}
	b.Conn().Close()
	s.Stop()
	if code, out := call(t, backup.Run, path, "--data-dir", dir); code != 0 || !strings.Contains(out, "finals: 43,") {
		t.Fatalf("code %d: %s", code, out)
	}
	if code, out := call(t, backup.Restore, path, "--data-dir", dir, "--replace"); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	s, b = start()
	defer s.Stop()
	defer b.Conn().Close()
	if got := len(contents(t, b, bus.StreamTranscripts)); got != 45 {
		t.Errorf("%d entries after the restore, want 45", got)
	}
	if got := len(contents(t, b, bus.StreamJobs)); got != 0 {
		t.Errorf("%d jobs after the restore", got)
	}
}

// TestBackupWhileMoreComes: finals that come meanwhile neither stop it nor get into it twice.
func TestBackupWhileMoreComes(t *testing.T) {
	b, url := server(t)
	fill(t, b)
	s, err := b.JS().Stream(t.Context(), bus.StreamTranscripts)
	if err != nil {
		t.Fatal(err)
	}
	// The newest one removed: its number never comes.
	if err := s.DeleteMsg(t.Context(), s.CachedInfo().State.LastSeq); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil && n < 5000; n++ {
			if err := b.Conn().PublishMsg(&nats.Msg{Subject: bus.Final("more"), Data: []byte(`{"type":"Results"}`)}); err != nil {
				t.Error(err)
				break
			}
			time.Sleep(time.Millisecond)
		}
		done <- n
	}()
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	code, out := call(t, backup.Run, path, "--nats", url)
	stop()
	n := <-done
	if code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	m, err := backup.Check(path)
	if err != nil || m.Messages[bus.StreamTranscripts] < 44 || m.Messages[bus.StreamTranscripts] > 44+n {
		t.Errorf("%+v, %d came meanwhile, %v", m, n, err)
	}
}

func TestWrongUse(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there.tar.gz")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		run  lifecycle.App
		args []string
		want string
		code int
	}{
		"no target":       {backup.Run, nil, "want one folder", 2},
		"another suffix":  {backup.Run, []string{"x.zip"}, "ends in .tar.gz", 2},
		"never over":      {backup.Run, []string{there}, "is there already", 2},
		"no server":       {backup.Run, []string{t.TempDir(), "--nats", "nats://127.0.0.1:1"}, "--data-dir", 1},
		"no data":         {backup.Run, []string{t.TempDir(), "--data-dir", "/nowhere"}, "no data of `rtap up`", 2},
		"no archive":      {backup.Restore, []string{there, "--check"}, "half-written", 2},
		"nothing there":   {backup.Restore, []string{"/nowhere.tar.gz"}, "looking for the backup", 2},
		"an empty folder": {backup.Restore, []string{t.TempDir()}, "there is no rtap-backup-*", 2},
		"nothing to read": {backup.Restore, nil, "want one folder or file", 2},
	} {
		if code, out := call(t, tt.run, tt.args...); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s: code %d: %s", name, code, out)
		}
	}
}

// TestStreams: out of one container and into another, without a file.
func TestStreams(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	from, url := server(t)
	fill(t, from)
	var archive, said bytes.Buffer
	if err := backup.Run(t.Context(), lifecycle.Env{Args: []string{"-", "--nats", url}, Stdout: &archive, Stderr: &said}); err != nil || !strings.Contains(said.String(), "finals: 43,") {
		t.Fatalf("%v: %s", err, &said)
	}
	to, url := server(t)
	for name, tt := range map[string]struct {
		raw  []byte
		code int
	}{"half": {archive.Bytes()[:archive.Len()/2], lifecycle.ExitUsage}, "whole": {archive.Bytes(), lifecycle.ExitOK}} {
		var out bytes.Buffer
		err := backup.Restore(t.Context(), lifecycle.Env{Args: []string{"-", "--nats", url, "--replace"}, Stdin: bytes.NewReader(tt.raw), Stdout: &out, Stderr: &out})
		if lifecycle.Code(err) != tt.code {
			t.Errorf("%s: %v: %s", name, err, &out)
		}
	}
	if got := len(contents(t, to, bus.StreamTranscripts)); got != 45 {
		t.Errorf("%d entries, want 45", got)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "rtap-restore-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
