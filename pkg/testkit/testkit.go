// Package testkit gives tests the real things: a NATS server in the process, a bus on
// it, real speech, and word error rates.
package testkit

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/wav"
)

// NATS starts a server with JetStream on a free port and a folder of the test's own.
func NATS(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 256 << 20,
	})
	if err != nil {
		t.Fatalf("making a nats server: %v", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the nats server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Bus starts a server and connects a bus that is set up; cfg may be nil.
func Bus(t testing.TB, cfg *config.Config) *bus.Bus {
	t.Helper()
	if cfg == nil {
		cfg = config.Default()
	}
	cfg.NATS.URL = NATS(t).ClientURL()
	return Connect(t, cfg)
}

// Connect gives one more bus on the server that cfg names.
func Connect(t testing.TB, cfg *config.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(cfg, t.Name(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Conn().Close)
	if err := b.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// RequireNative ends the test when a native part is missing: a failure with
// RTAP_REQUIRE_NATIVE=1, as in CI, a skip elsewhere.
func RequireNative(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("RTAP_REQUIRE_NATIVE") == "1" {
		t.Fatalf("native part missing: %v", err)
	}
	t.Skipf("native part missing: %v", err)
}

// Root returns the repository's root.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
	}
	t.Fatal("go.work not found above the test")
	return ""
}

// Audio returns the path of a test recording: from RTAP_TEST_AUDIO, or what `make deps`
// fetched, which has jfk.wav only.
func Audio(t testing.TB, name string) string {
	t.Helper()
	candidates := []string{filepath.Join(Root(t), "third_party", "audio", name)}
	if dir := os.Getenv("RTAP_TEST_AUDIO"); dir != "" {
		candidates = append([]string{filepath.Join(dir, name)}, candidates...)
	}
	for _, c := range candidates {
		if _, err := os.Stat(c); err == nil {
			return c
		}
	}
	RequireNative(t, &os.PathError{Op: "find", Path: name, Err: os.ErrNotExist})
	return ""
}

// PCM reads a 16 kHz mono 16-bit WAV file of the test recordings as samples in -1 to 1.
func PCM(t testing.TB, name string) []float32 {
	t.Helper()
	a, err := wav.Read(Audio(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if a.SampleRateHz != 16000 {
		t.Fatalf("%s has %d samples a second, want 16000", name, a.SampleRateHz)
	}
	return a.PCM
}

// Breathless takes the pauses out of speech of 16 kHz, all but 20 ms of each.
func Breathless(pcm []float32) (out []float32) {
	const block, quiet, keep = 320, 0.03, 1 // RMS of 20 ms; the loudest have 0.3
	still := 0
	for i := 0; i+block <= len(pcm); i += block {
		var squares float64
		for _, x := range pcm[i : i+block] {
			squares += float64(x * x)
		}
		if still++; squares > block*quiet*quiet {
			still = 0
		}
		if still <= keep {
			out = append(out, pcm[i:i+block]...)
		}
	}
	return out
}

// Noise makes n samples of white noise with the given peak; the same each time.
func Noise(n int, peak float32) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]float32, n)
	for i := range out {
		out[i] = peak * (2*r.Float32() - 1)
	}
	return out
}

// WriteWAV writes samples in -1 to 1 as a 16 kHz mono 16-bit file and returns its path.
func WriteWAV(t testing.TB, pcm []float32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.wav")
	if err := os.WriteFile(path, wav.Format(wav.Audio{SampleRateHz: 16000, PCM: pcm}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// WhisperModel returns the path of a Whisper model's file: the first of the names that is
// in RTAP_TEST_MODELS, in RTAP_MODELS_DIR, or where `rtap models pull` puts it.
func WhisperModel(t testing.TB, names ...string) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("RTAP_TEST_MODELS"), os.Getenv("RTAP_MODELS_DIR"), filepath.Join(Root(t), "third_party", "models")} {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); dir != "" && err == nil {
				return path
			}
		}
	}
	RequireNative(t, &os.PathError{Op: "find", Path: names[0], Err: os.ErrNotExist})
	return ""
}

// TinyEN is the English model that tests use, in either form.
func TinyEN(t testing.TB) string { return WhisperModel(t, "ggml-tiny.en-q8_0.bin", "ggml-tiny.en.bin") }

// Base is the multilingual model that tests use.
func Base(t testing.TB) string {
	return WhisperModel(t, "ggml-base-q5_1.bin", "ggml-base-q8_0.bin", "ggml-base.bin")
}
