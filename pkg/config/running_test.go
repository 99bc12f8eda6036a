package config_test

import (
	"maps"
	"testing"

	"github.com/rtap/rtap/pkg/config"
)

func TestFor(t *testing.T) {
	running := map[string]string{
		"stt.model": "m", "log.level": "WARN", "log.level/stt": "DEBUG", "log.level/host-7": "ERROR",
	}
	for name, tt := range map[string]struct{ service, instance, level string }{
		"all":       {"vad", "host-1", "WARN"},
		"service":   {"stt", "host-2", "DEBUG"},
		"instance":  {"stt", "host-7", "ERROR"},
		"of others": {"capture", "host-70", "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{"stt.model": "m", "log.level": tt.level}
			if got := config.For(running, tt.service, tt.instance); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestRunningKey(t *testing.T) {
	if key, err := config.RunningKey("log.level", "stt"); err != nil || key != "log.level/stt" {
		t.Errorf("got %s, %v", key, err)
	}
	if key, err := config.RunningKey("stt.model", ""); err != nil || key != "stt.model" {
		t.Errorf("got %s, %v", key, err)
	}
	if _, err := config.RunningKey("stt.model", "stt"); err == nil {
		t.Error("a model for one process was let through")
	}
}
