package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestBackups(t *testing.T) {
	for name, tt := range map[string]struct {
		facts doctor.Backups
		wants []want
	}{
		"none":       {doctor.Backups{Dir: "b"}, []want{{"backups", doctor.Warn, "none in b", "`rtap backup b`"}}},
		"unreadable": {doctor.Backups{Err: errors.New("permission denied")}, []want{{"backups", doctor.Fail, "permission denied", "--backups"}}},
		"whole":      {doctor.Backups{Newest: "b/x.tar.gz", Made: time.Unix(0, 0).UTC()}, []want{{"backups", doctor.OK, "1970-01-01 00:00:00 UTC: b/x.tar.gz", ""}}},
		"half-written": {
			doctor.Backups{Dir: "b", Newest: "b/x.tar.gz", Whole: errors.New("b/x.tar.gz is half-written or damaged (it ends): take another backup")},
			[]want{{"backups", doctor.Fail, "half-written or damaged (it ends)", "take another"}},
		},
		"interrupted": {
			doctor.Backups{Newest: "x", Left: []string{"b/.rtap-backup-1"}},
			[]want{{"backups", doctor.OK, "x", ""}, {"backups", doctor.Warn, ".rtap-backup-1", "remove"}},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestBackupsGathered(t *testing.T) {
	s := site(t, t.TempDir())
	s.BackupDir = filepath.Join(t.TempDir(), "nowhere")
	if got := s.Check(t, "backups"); len(got) != 0 {
		t.Errorf("without a folder: %v", got)
	}
	s.BackupDir = t.TempDir()
	write(t, filepath.Join(s.BackupDir, "rtap-backup-20260102-030405.tar.gz"), []byte("half"), 0o600)
	write(t, filepath.Join(s.BackupDir, ".rtap-backup-77"), nil, 0o600)
	expect(t, s.Check(t, "backups"),
		want{"backups", doctor.Fail, "half-written or damaged", "take another"}, want{"backups", doctor.Warn, ".rtap-backup-77", "remove"})
	if err := os.Remove(filepath.Join(s.BackupDir, "rtap-backup-20260102-030405.tar.gz")); err != nil {
		t.Fatal(err)
	}
	expect(t, s.Check(t, "backups")[:1], want{"backups", doctor.Warn, "none in", "rtap backup"})
}
