package config

import (
	"fmt"
	"strings"
)

// LogLevel is the only setting that may be changed for one process alone while it runs.
const LogLevel = "log.level"

// RunningKey is the key under which a change made while running is kept: for all
// processes, or for one service or instance.
func RunningKey(key, process string) (string, error) {
	switch {
	case process == "":
		return key, nil
	case key != LogLevel:
		return "", fmt.Errorf("%s changes for all processes at once; only %s can change for one", key, LogLevel)
	}
	return key + "/" + process, nil
}

// For returns what of the changes made while running counts for a process: what was set
// for the instance goes over what was set for the service, and that over the rest.
func For(running map[string]string, service, instance string) map[string]string {
	out := map[string]string{}
	for key, value := range running {
		if !strings.Contains(key, "/") {
			out[key] = value
		}
	}
	for _, process := range []string{service, instance} {
		if value, ok := running[LogLevel+"/"+process]; ok {
			out[LogLevel] = value
		}
	}
	return out
}
