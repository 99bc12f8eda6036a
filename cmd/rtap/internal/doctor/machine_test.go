package doctor_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestCPU(t *testing.T) {
	engines := []doctor.Engine{{Name: "whisper", Version: "1.9.1", GPU: "A GPU"}}
	fine := want{"engines", doctor.OK, "whisper 1.9.1 on A GPU", ""}
	for name, tt := range map[string]struct {
		facts doctor.CPU
		wants []want
	}{
		"whole":   {doctor.CPU{Cores: 4, Engines: engines}, []want{{"cpu", doctor.OK, "4 cores", ""}, fine}},
		"limited": {doctor.CPU{Cores: 4, Limit: 2, Engines: engines}, []want{{"cpu", doctor.OK, "leaves 2", ""}, fine}},
		"starved": {doctor.CPU{Cores: 1, Limit: 0.25, Engines: engines}, []want{{"cpu", doctor.Warn, "1 core, of which the container's limit leaves 0.25", "--cpus"}, fine}},
		"old CPU": {doctor.CPU{Cores: 2, Engines: []doctor.Engine{{Name: "whisper", Missing: []string{"AVX2", "FMA"}}}}, []want{{"cpu", doctor.OK, "2", ""}, {"engines", doctor.Warn, "AVX2, FMA", "WHISPER_NATIVE=1"}}},
		"no stt":  {doctor.CPU{Cores: 2, EnginesErr: errors.New("not there")}, []want{{"cpu", doctor.OK, "2", ""}, {"engines", doctor.Warn, "not there", "rtap-stt"}}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestMemory(t *testing.T) {
	none := want{"container", doctor.Info, "none that shows", ""}
	for name, tt := range map[string]struct {
		facts doctor.Memory
		wants []want
	}{
		"whole":      {doctor.Memory{Free: 2 << 30, BoundBy: "the machine"}, []want{{"memory", doctor.OK, "2048 MB free, bound by the machine", ""}, none}},
		"container":  {doctor.Memory{Free: 1 << 30, BoundBy: "the container's limit", Limit: 2 << 30, Container: "Docker"}, []want{{"memory", doctor.OK, "limit 2048 MB", ""}, {"container", doctor.Info, "Docker", ""}}},
		"little":     {doctor.Memory{Free: 300 << 20, BoundBy: "the machine"}, []want{{"memory", doctor.Warn, "300 MB", "400 MB"}, none}},
		"too little": {doctor.Memory{Free: 100 << 20, BoundBy: "the machine"}, []want{{"memory", doctor.Fail, "100 MB", "400 MB"}, none}},
		"unknown":    {doctor.Memory{Err: errors.New("no /proc")}, []want{{"memory", doctor.Info, "no /proc", ""}, none}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestMemoryGathered(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"proc/meminfo": "MemAvailable: 4194304 kB\n", "run/.containerenv": "",
		"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/memory.current": "1048576\n",
	} {
		write(t, filepath.Join(root, path), []byte(text), 0o600)
	}
	expect(t, site(t, root).Check(t, "memory"),
		want{"memory", doctor.OK, "1023 MB free, bound by the container's limit; limit 1024 MB", ""},
		want{"container", doctor.Info, "Podman", ""})
}

func TestClock(t *testing.T) {
	built := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		facts doctor.Clock
		want  want
	}{
		"right":          {doctor.Clock{Now: built.AddDate(1, 0, 0), Built: built, Step: 1, Synchronised: true}, want{"clock", doctor.OK, "synchronised, 2027-05-01", ""}},
		"unsynchronised": {doctor.Clock{Now: built, Built: built, Step: 1}, want{"clock", doctor.Warn, "not synchronised", "between hosts"}},
		"long ago":       {doctor.Clock{Now: time.Unix(0, 0), Built: built, Step: 1, Synchronised: true}, want{"clock", doctor.Fail, "1970-01-01 00:00:00 UTC, before this program was made (2026-05-01)", "set-ntp"}},
		"may not ask":    {doctor.Clock{Now: built, Built: built, Step: 1, Err: errors.New("operation not permitted")}, want{"clock", doctor.Info, "not permitted", ""}},
		"stands still":   {doctor.Clock{Now: built, Built: built}, want{"clock", doctor.Fail, "stands still", "another host"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.want) })
	}
}

func TestOpenFiles(t *testing.T) {
	expect(t, doctor.JudgeOpenFiles(1024, nil), want{"open files", doctor.OK, "1024", ""})
	expect(t, doctor.JudgeOpenFiles(256, nil), want{"open files", doctor.Warn, "256 only", "LimitNOFILE"})
	expect(t, doctor.JudgeOpenFiles(0, errors.New("unknown")), want{"open files", doctor.Info, "unknown", ""})
}
