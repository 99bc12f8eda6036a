package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/config"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultFileEqualsBuiltIn(t *testing.T) {
	l, err := config.Load(config.Options{File: "../../config/default.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	built, err := config.Load(config.Options{File: write(t, t.TempDir(), "empty.yaml", "")})
	if err != nil {
		t.Fatal(err)
	}
	want := built.Settings()
	for i, s := range l.Settings() {
		if s.Value != want[i].Value {
			t.Errorf("%s: the file says %s, built in is %s", s.Key, s.Value, want[i].Value)
		}
		if s.Origin == "built-in default" {
			t.Errorf("%s is not documented in config/default.yaml", s.Key)
		}
	}
}

func TestOverlaysLoad(t *testing.T) {
	for _, name := range []string{"main_pc", "pc2"} {
		if _, err := config.Load(config.Options{File: "../../config/default.yaml", Environ: []string{"RTAP_ENVIRONMENT=" + name}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOrderOfSources(t *testing.T) {
	dir := t.TempDir()
	base := write(t, dir, "default.yaml", "vad:\n  pre_roll_ms: 1\n  tail_ms: 1\n  min_speech_ms: 1\nstt:\n  ack_wait: 5s\n")
	write(t, dir, "lab.yaml", "vad:\n  tail_ms: 2\n  min_speech_ms: 2\n")
	l, err := config.Load(config.Options{
		File:    base,
		Environ: []string{"RTAP_ENVIRONMENT=lab", "RTAP_VAD__MIN_SPEECH_MS=3", "RTAP_LOG_LEVEL=DEBUG", "RTAP_AUDIO_MOCK=true", "AUDIO_DEVICE=usb"},
		Set:     []string{"stt.threads=4", "audio.sources=mock,file:a.wav"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.VAD.PreRollMS != 1 || l.VAD.TailMS != 2 || l.VAD.MinSpeechMS != 3 || l.STT.Threads != 4 || l.STT.AckWait != 5*time.Second {
		t.Errorf("got %+v %+v", l.VAD, l.STT)
	}
	if l.Log.Level != "DEBUG" || !l.Audio.Mock || l.Audio.Device != "usb" || len(l.Audio.Sources) != 2 {
		t.Errorf("short names: %+v %+v", l.Log, l.Audio)
	}
	if got := l.Origin("vad.tail_ms"); !strings.HasSuffix(got, "lab.yaml:2") {
		t.Errorf("origin %q", got)
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml, set, env, want string
	}{
		"unknown key":       {yaml: "vad:\n  pre_rol_ms: 3\n", want: "default.yaml:2: unknown key \"vad.pre_rol_ms\": vad has onset_threshold"},
		"unknown section":   {yaml: "vda: {}\n", want: "default.yaml:1: unknown key \"vda\""},
		"not a number":      {yaml: "vad:\n  tail_ms: long\n", want: "default.yaml:2: vad.tail_ms: bad value \"long\": want a whole number"},
		"too large":         {yaml: "vad:\n  max_segment_ms: 99999\n", want: "default.yaml:2: vad.max_segment_ms: bad value \"99999\": want at most 15000"},
		"not allowed":       {yaml: "log:\n  level: LOUD\n", want: "default.yaml:2: log.level: bad value \"LOUD\": want one of DEBUG, INFO"},
		"no channel":        {yaml: "audio:\n  channel: 0\n", want: "default.yaml:2: audio.channel: bad value \"0\": want mix, or the number of a channel, from 1"},
		"a channel's name":  {set: "audio.channel=left", want: "want mix, or the number"},
		"duration":          {yaml: "shutdown_timeout: 5\n", want: "want a duration such as"},
		"twice":             {yaml: "log: {level: INFO}\nlog: {level: DEBUG}\n", want: "log stands twice, first on line 1"},
		"list for a scalar": {yaml: "log:\n  level: [INFO]\n", want: "want a single value"},
		"scalar for a map":  {yaml: "log: INFO\n", want: "default.yaml:1: log: want a mapping"},
		"not yaml":          {yaml: "\t\tno", want: "default.yaml"},
		"flag":              {set: "stt.threads=x", want: "--set: stt.threads: bad value \"x\""},
		"flag without =":    {set: "stt.threads", want: "want key=value"},
		"variable":          {env: "RTAP_STT__TREADS=1", want: "RTAP_STT__TREADS: unknown key \"stt.treads\""},
		"environment":       {env: "RTAP_ENVIRONMENT=nowhere", want: "there is no"},
		"relation":          {yaml: "vad:\n  hangover_ms: 800\n", set: "vad.utterance_end_ms=100", want: "want at least vad.hangover_ms (800)"},
		"a short hangover":  {set: "vad.hangover_ms=32", want: "want 0 or at least 64"},
		"required":          {set: "nats.url=", want: "nats.url: bad value \"\": want a value"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := config.Options{File: write(t, t.TempDir(), "default.yaml", tt.yaml)}
			if tt.set != "" {
				opts.Set = []string{tt.set}
			}
			if tt.env != "" {
				opts.Environ = []string{tt.env}
			}
			_, err := config.Load(opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	l, err := config.Load(config.Options{File: write(t, t.TempDir(), "d.yaml", ""), Set: []string{"nats.password=hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Settings() {
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%s shows its secret", s.Key)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("vad: {tail_ms: 3}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = config.Load(config.Options{File: write(t, t.TempDir(), "f.yaml", text)})
	})
}

func TestLive(t *testing.T) {
	for name, tt := range map[string]struct{ key, value, want string }{
		"model":       {"stt.model", "whisper-base", ""},
		"not live":    {"vad.tail_ms", "3", "vad.tail_ms cannot change while RTAP runs"},
		"unknown":     {"stt.modle", "x", "unknown key \"stt.modle\""},
		"bad value":   {"stt.beam_size", "many", "stt.beam_size: bad value \"many\""},
		"out of rule": {"stt.task", "sing", "want one of transcribe, translate"},
		"section":     {"stt", "x", "stt cannot change"},
	} {
		t.Run(name, func(t *testing.T) {
			err := config.Live(tt.key, tt.value)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	l, err := config.Load(config.Options{File: write(t, t.TempDir(), "d.yaml", ""), Set: []string{"stt.model=a"}, Running: map[string]string{"stt.model": "b"}})
	if err != nil || l.STT.Model != "b" || l.Origin("stt.model") != "rtap config set" {
		t.Errorf("over a flag: %v, %v", l, err)
	}
}

// TestProfiles: a profile's file goes over the base and under everything that is said apart.
func TestProfiles(t *testing.T) {
	for _, name := range []string{"latency", "balanced", "accuracy"} {
		l, err := config.Load(config.Options{File: "../../config/default.yaml", Environ: []string{"RTAP_PROFILE=" + name}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if l.Profile != name {
			t.Errorf("%s: got %q", name, l.Profile)
		}
	}
	dir := t.TempDir()
	base := write(t, dir, "default.yaml", "vad:\n  pre_roll_ms: 1\n  tail_ms: 1\n  min_speech_ms: 1\n")
	write(t, dir, "latency.yaml", "vad:\n  pre_roll_ms: 2\n  tail_ms: 2\n  min_speech_ms: 2\n")
	write(t, dir, "lab.yaml", "profile: latency\nvad:\n  min_speech_ms: 3\n")
	l, err := config.Load(config.Options{File: base, Environ: []string{"RTAP_ENVIRONMENT=lab"}, Set: []string{"vad.tail_ms=4"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.VAD.PreRollMS != 2 || l.VAD.TailMS != 4 || l.VAD.MinSpeechMS != 3 {
		t.Errorf("got %+v", l.VAD)
	}
	if _, err := config.Load(config.Options{File: base, Set: []string{"profile=fast"}}); err == nil || !strings.Contains(err.Error(), "profile: fast: there is no") {
		t.Errorf("unknown profile: %v", err)
	}
	if _, err := config.Load(config.Options{File: base}); err != nil {
		t.Errorf("the default profile needs no file: %v", err)
	}
}
