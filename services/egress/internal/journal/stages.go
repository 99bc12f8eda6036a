package journal

import (
	"log/slog"
	"strings"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Stages compares what the processes answered with what they answered before, and writes
// what has changed. Call it after each round of questions.
func (j *Journal) Stages(seen []*rtapv1.ServiceStatus) {
	answered := map[string]bool{}
	for _, s := range seen {
		answered[s.GetInstance()] = true
		j.mu.Lock()
		before := j.known[s.GetInstance()]
		j.known[s.GetInstance()] = &process{status: s}
		j.mu.Unlock()
		if before == nil {
			j.write(slog.LevelInfo, "pipeline stage is there", about(s, "version", s.GetVersion(), "state", s.GetState(),
				"ready", s.GetReady(), "reasons", strings.Join(s.GetReasons(), "; "))...)
			before = &process{status: &rtapv1.ServiceStatus{Ready: s.GetReady()}}
		}
		j.compare(before.status, s)
	}
	var gone []*rtapv1.ServiceStatus
	j.mu.Lock()
	for instance, p := range j.known {
		if answered[instance] {
			continue
		}
		if p.missed++; p.missed >= missedPolls {
			gone = append(gone, p.status)
			delete(j.known, instance)
		}
	}
	j.mu.Unlock()
	for _, s := range gone {
		j.write(slog.LevelWarn, "pipeline stage answers no more", about(s)...)
	}
}

// compare writes what is new about a process.
func (j *Journal) compare(was, now *rtapv1.ServiceStatus) {
	switch {
	case was.GetReady() && !now.GetReady():
		j.write(slog.LevelWarn, "pipeline stage is not ready", about(now, "reasons", strings.Join(now.GetReasons(), "; "))...)
	case !was.GetReady() && now.GetReady():
		j.write(slog.LevelInfo, "pipeline stage is ready", about(now)...)
	}
	a, b := was.GetAttributes(), now.GetAttributes()
	if b["model"] != "" && (a["model"] != b["model"] || a["dtype"] != b["dtype"] || a["engine"] != b["engine"]) {
		j.write(slog.LevelInfo, "pipeline model loaded and warm", about(now, "engine", b["engine"], "model", b["model"], "dtype", b["dtype"],
			"chosen_by", b["chosen_by"], "threads", b["threads"], "warmup_ms", b["warmup_ms"], "before", a["model"])...)
	}
	if b["settings_error"] != "" && a["settings_error"] != b["settings_error"] {
		j.write(slog.LevelError, "pipeline stage refuses new settings", about(now, "error", b["settings_error"])...)
	}
}

func about(s *rtapv1.ServiceStatus, more ...any) []any {
	return append([]any{"stage", s.GetService(), "instance", s.GetInstance()}, more...)
}
