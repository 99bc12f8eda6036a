package doctor_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestDisk(t *testing.T) {
	whole := doctor.Disk{Dir: "data", Free: 9 << 30, Used: 5 << 20, LimitMB: 4096, StreamsMB: 2752, Syncs: []time.Duration{time.Millisecond, 2 * time.Millisecond, 40 * time.Millisecond}}
	facts := func(change func(*doctor.Disk)) doctor.Disk {
		d := whole
		change(&d)
		return d
	}
	space := want{"disk", doctor.OK, "9216 MB free for data, which holds 5 MB; JetStream may take up to 4096 MB", ""}
	speed := want{"fsync", doctor.OK, "2.0 ms p50, 40.0 ms p95", ""}
	for name, tt := range map[string]struct {
		facts doctor.Disk
		wants []want
	}{
		"whole":        {whole, []want{space, speed}},
		"small":        {facts(func(d *doctor.Disk) { d.Free = 2 << 30 }), []want{{"disk", doctor.Warn, "2048 MB free", "max_storage_mb below 2053"}, speed}},
		"full of ours": {facts(func(d *doctor.Disk) { d.Free, d.Used = 1<<30, 4<<30 }), []want{{"disk", doctor.OK, "1024 MB free", ""}, speed}},
		"full":         {facts(func(d *doctor.Disk) { d.Free = 1 << 20 }), []want{{"disk", doctor.Fail, "1 MB free", "started again"}, speed}},
		"overbooked":   {facts(func(d *doctor.Disk) { d.LimitMB = 1024 }), []want{{"disk", doctor.Fail, "reserve 2752 MB", "to 2752 or more"}, speed}},
		"unknown":      {facts(func(d *doctor.Disk) { d.Err = errors.New("stale handle") }), []want{{"disk", doctor.Warn, "stale handle", "--data-dir"}, speed}},
		"slow": {
			facts(func(d *doctor.Disk) { d.Syncs = []time.Duration{15 * time.Millisecond} }), []want{space, {"fsync", doctor.Warn, "15.0 ms p50", "each final waits"}},
		},
		"read-only": {facts(func(d *doctor.Disk) { d.WriteErr = fs.ErrPermission }), []want{space, {"fsync", doctor.Fail, "permission", "right to write"}}},
		"hung":      {facts(func(d *doctor.Disk) { d.Syncs = nil }), []want{space, {"fsync", doctor.Warn, "in time", "hangs"}}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestDiskGathered(t *testing.T) {
	s := site(t, t.TempDir())
	write(t, filepath.Join(s.DataDir, "nats/a"), make([]byte, 3<<20), 0o600)
	found := s.Check(t, "disk")
	if len(found) != 2 || found[1].Status == doctor.Fail || found[1].Name != "fsync" {
		t.Errorf("got %+v", found)
	}
	expect(t, found[:1], want{"disk", found[0].Status, "which holds 3 MB", ""})
	left, err := os.ReadDir(s.DataDir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v is left behind, %v", left, err)
	}
	s.DataDir = write(t, filepath.Join(t.TempDir(), "file"), nil, 0o600)
	expect(t, s.Check(t, "disk")[1:], want{"fsync", doctor.Fail, "not a directory", "--data-dir"})
}

func TestLogs(t *testing.T) {
	s := site(t, t.TempDir())
	if got := s.Check(t, "logs"); got != nil {
		t.Errorf("got %+v", got)
	}
	s.Config.Log.Dir = filepath.Join(t.TempDir(), "not/yet")
	expect(t, s.Check(t, "logs"), want{"logs", doctor.OK, "can be written to", ""})
	s.Config.Log.Dir = write(t, filepath.Join(t.TempDir(), "file"), nil, 0o600)
	expect(t, s.Check(t, "logs"), want{"logs", doctor.Fail, "cannot be written to", "log.dir"})
}
