package test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
)

// TestLogrotate runs deploy/logrotate/rtap as a host does each day, but on a folder of its own
// and as this user. It is not forced, as then the file of the day would be rotated too.
func TestLogrotate(t *testing.T) {
	program, err := exec.LookPath("logrotate")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/logrotate") // not in everybody's PATH
	}
	testkit.RequireNative(t, err)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(testkit.Root(t), "deploy", "logrotate", "rtap"))
	if err != nil {
		t.Fatal(err)
	}
	dir, now := t.TempDir(), time.Now()
	logs, config, state := filepath.Join(dir, "logs"), filepath.Join(dir, "rtap"), filepath.Join(dir, "state")
	text := strings.NewReplacer("/var/log/rtap", logs, "/app/logs", filepath.Join(dir, "none"), "su rtap rtap", "su "+me.Username+" "+group.Name).Replace(string(raw))
	if !strings.Contains(text, logs+"/rtap-*.log") || !strings.Contains(text, "su "+me.Username) {
		t.Fatalf("the file is not as this test takes it:\n%s", text)
	}
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	write := func(path, content string, days int) {
		t.Helper()
		at := now.AddDate(0, 0, -days)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	day := func(days int) string {
		return filepath.Join(logs, "rtap-"+now.AddDate(0, 0, -days).Format("20060102")+".log")
	}
	said := func(days int) string { return fmt.Sprintf("{\"msg\":\"%d days ago\"}\n", days) }
	// What logrotate remembers of yesterday's run.
	seen := "logrotate state -- version 2\n"
	for _, days := range []int{0, 2, 5, 9} {
		write(day(days), said(days), days)
		seen += fmt.Sprintf("%q %s\n", day(days), now.AddDate(0, 0, -1).Format("2006-1-2-0:0:0"))
	}
	write(day(7)+".1.gz", "of 7 days ago", 7)
	write(day(12)+".1.gz", "of 12 days ago", 12)
	write(filepath.Join(logs, "other.log"), "not ours", 12)
	write(config, text, 0)
	write(state, seen, 0)

	for range 2 { // the second time, the same day, there is nothing to do
		if out, err := exec.CommandContext(t.Context(), program, "-s", state, config).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
		var have []string
		entries, err := os.ReadDir(logs)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			have = append(have, e.Name())
		}
		want := []string{"other.log"}
		for _, path := range []string{day(0), day(2) + ".1.gz", day(5) + ".1.gz", day(7) + ".1.gz"} {
			want = append(want, filepath.Base(path))
		}
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("there are %v, want %v", have, want)
		}
	}
	if got, err := os.ReadFile(day(0)); string(got) != said(0) {
		t.Errorf("the file of the day: %q, %v", got, err)
	}
	for _, days := range []int{2, 5} {
		if got := unzipped(t, day(days)+".1.gz"); got != said(days) {
			t.Errorf("of %d days ago: %q", days, got)
		}
	}
}

func unzipped(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
