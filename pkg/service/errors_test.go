package service

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"golang.org/x/time/rate"
)

func TestErrorsAreReportedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			out    bytes.Buffer
			events []*rtapv1.ServiceEvent
		)
		log := slog.New(&reporting{
			Handler: slog.NewTextHandler(&out, nil), limit: rate.NewLimiter(rate.Every(time.Second), 10),
			emit: func(kind string, severity rtapv1.ServiceEvent_Severity, message string, fill func(*rtapv1.ServiceEvent)) {
				e := &rtapv1.ServiceEvent{Kind: kind, Severity: severity, Message: message}
				fill(e)
				events = append(events, e)
			},
		})
		log.Warn("only a warning")
		log.With("stream_id", "mic").Error("transcribing failed", "segment_id", "mic-1-2", "tries", 3)
		if len(events) != 1 || events[0].GetKind() != "error" || events[0].GetMessage() != "transcribing failed" || events[0].GetStreamId() != "mic" ||
			events[0].GetAttributes()["segment_id"] != "mic-1-2" || events[0].GetAttributes()["tries"] != "3" {
			t.Fatalf("events %v", events)
		}
		for range 1000 {
			log.Error("again")
		}
		time.Sleep(5 * time.Second)
		for range 1000 {
			log.Error("again")
		}
		if len(events) != 15 {
			t.Errorf("%d events, want ten and then one a second", len(events))
		}
		if got := strings.Count(out.String(), "\n"); got != 2002 {
			t.Errorf("the log has %d lines, want all 2002", got)
		}
	})
}
