package obs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
)

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestLogger(t *testing.T) {
	dir := t.TempDir()
	log, err := obs.NewLogger(config.Log{Level: "WARNING", Format: "json", Dir: dir}, "vad", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hidden")
	log.Warn("shown")
	files, _ := filepath.Glob(filepath.Join(dir, "rtap-????????.log"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	if at, err := os.Readlink(filepath.Join(dir, obs.CurrentLog)); at != filepath.Base(files[0]) {
		t.Errorf("%s stands for %q (%v), want %s", obs.CurrentLog, at, err, filepath.Base(files[0]))
	}
	var line map[string]any
	if raw := read(t, files[0]); json.Unmarshal([]byte(raw), &line) != nil || line["msg"] != "shown" || line["service"] != "vad" {
		t.Errorf("got %s", raw)
	}
}

func TestDailyFileFollowsTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		log, err := obs.NewLogger(config.Log{Level: "INFO", Format: "text", Dir: dir}, "vad", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		today := time.Now()
		log.Info("before midnight")
		time.Sleep(24 * time.Hour)
		log.Info("after midnight")
		for day, want := range map[time.Time]string{today: "before midnight", today.Add(24 * time.Hour): "after midnight"} {
			text := read(t, filepath.Join(dir, "rtap-"+day.Format("20060102")+".log"))
			if strings.Count(text, "midnight") != 1 || !strings.Contains(text, want) {
				t.Errorf("%s holds %s, want %s", day, text, want)
			}
		}
	})
}

// TestDailyFileIsRotated: as logrotate does it by moving, by copying and truncating, and
// as a cleaning job does it.
func TestDailyFileIsRotated(t *testing.T) {
	for name, rotate := range map[string]func(path string) error{
		"moved":             func(path string) error { return os.Rename(path, path+".1") },
		"moved and created": func(path string) error { return rename(path) },
		"copied":            func(path string) error { return os.Truncate(path, 0) },
		"removed":           os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var stderr bytes.Buffer
			log, err := obs.NewLogger(config.Log{Level: "INFO", Format: "text", Dir: dir}, "vad", &stderr)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("first")
			path := filepath.Join(dir, "rtap-"+time.Now().Format("20060102")+".log")
			before := read(t, path)
			if err := rotate(path); err != nil {
				t.Fatal(err)
			}
			log.Info("second")
			log.Info("third")
			if got := read(t, path); strings.Contains(got, "first") || strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "time=") {
				t.Errorf("the file holds %q", got)
			}
			if old, err := os.ReadFile(path + ".1"); err == nil && string(old) != before {
				t.Errorf("the moved file got more: %q", old)
			}
			if strings.Count(stderr.String(), "\n") != 3 {
				t.Errorf("standard error has %q", stderr.String())
			}
		})
	}
}

func rename(path string) error {
	if err := os.Rename(path, path+".1"); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o600)
}
