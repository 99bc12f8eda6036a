//go:build compose

package compose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// prometheus adds a recogniser, which must be found by itself, and loses the history, which
// the blocks of docs/OPERATIONS.md have saved and bring back.
func (s *stack) prometheus(t *testing.T) {
	s.sh(t, "docker-compose up -d rtap-monitoring")
	s.healthy(t, "rtap-monitoring")
	everyOne := func() {
		t.Helper()
		becomes(t, `count(up{job=~"capture|vad|stt|rtap-main|rtap-standby"} == 1)`, "5")
	}
	everyOne()
	s.sh(t, "docker-compose up -d --scale stt=2")
	becomes(t, `count(up{job="stt"} == 1)`, "2")
	s.sh(t, "docker-compose up -d --scale stt=1")
	becomes(t, `count(up{job="stt"})`, "1")
	everyOne()

	blocks := s.blocks(t, "monitoring")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks, want one that saves and one that restores", len(blocks))
	}
	const sample = `up{job="stt"}`
	before := time.Now()
	if got := value(sample, before); got != "1" {
		t.Fatalf("%s is %q", sample, got)
	}
	s.block(t, blocks[0])
	s.sh(t, "docker rm -f rtap-monitoring && docker volume rm rtap_prometheus-data && docker-compose up -d rtap-monitoring")
	s.healthy(t, "rtap-monitoring")
	everyOne()
	if got := value(sample, before); got != "" {
		t.Fatalf("the history is not lost: %s was %s", sample, got)
	}
	s.block(t, blocks[1])
	s.healthy(t, "rtap-monitoring")
	everyOne()
	if got := value(sample, before); got != "1" {
		t.Errorf("after the restore %s of before it is %q", sample, got)
	}
}

// becomes waits until Prometheus gives the value for a query of now.
func becomes(t *testing.T, query, want string) {
	t.Helper()
	within(t, 2*time.Minute, fmt.Sprintf("%s does not become %s", query, want), func() bool { return value(query, time.Now()) == want })
}

// value is what Prometheus says of a query at a time: of the first series, "" where there is none.
func value(query string, at time.Time) string {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://localhost:9090/api/v1/query?" + //nolint:noctx // the client has a timeout
		url.Values{"query": {query}, "time": {strconv.FormatInt(at.Unix(), 10)}}.Encode())
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if json.NewDecoder(res.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
