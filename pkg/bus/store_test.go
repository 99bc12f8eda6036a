package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// full is a server whose disk is full: it does not answer a write.
type full struct {
	jetstream.JetStream
	err    error
	create error
}

func (f *full) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return &jetstream.PubAck{}, f.err
}

func (f *full) CreateConsumer(context.Context, string, jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return nil, f.create
}

// TestWatchStoreLooksAtEachKind: what another stream of the server stores hides nothing, and
// who has stopped writing says nothing.
func TestWatchStoreLooksAtEachKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := bus.Over(config.Default(), slog.New(slog.DiscardHandler), &full{create: context.DeadlineExceeded}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var told []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = b.WatchStore(ctx, func(reason string) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, reason)
			})
		}()
		b.NoteWrite(bus.Ingest("a"), context.DeadlineExceeded) // once, and never tried again
		time.Sleep(15 * time.Second)
		synctest.Wait()
		mu.Lock()
		if len(told) != 0 {
			t.Errorf("one write that failed: %q", told)
		}
		mu.Unlock()
		for range 4 {
			b.NoteWrite(bus.Audio("a"), context.DeadlineExceeded)
			time.Sleep(2 * time.Second)
			if err := b.PublishJob(ctx, &rtapv1.FinalJob{StreamId: "a", SegmentId: "a-1"}); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		mu.Lock()
		if len(told) != 1 || told[0] == "" {
			t.Errorf("the audio is not stored: %q", told)
		}
		mu.Unlock()
		time.Sleep(30 * time.Second)
		cancel()
		<-done
		if len(told) != 2 || told[1] != "" {
			t.Errorf("nothing was tried any more: %q", told)
		}
	})
}

func TestWatchStore(t *testing.T) {
	conflict := &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}
	for name, c := range map[string]struct {
		write, create error
		says          string // "" where nothing is wrong with the store
	}{
		"a full disk":          {context.DeadlineExceeded, errors.New("write meta.inf: no space left on device"), "the server's disk is full (write meta.inf: no space left on device): free space there, then restart the server"},
		"no cause to be found": {context.DeadlineExceeded, context.DeadlineExceeded, "the server stores nothing (context deadline exceeded): free space"},
		"a store at its limit": {&jetstream.APIError{Code: 503, Description: "insufficient resources"}, errors.New("insufficient resources"), "the server stores nothing (insufficient resources)"},
		"a queue at its limit": {&jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "maximum bytes exceeded"}, nil, ""},
		"somebody was first":   {conflict, nil, ""},
		"no connection":        {nats.ErrConnectionReconnecting, nil, ""},
		"all is well":          {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				js := &full{err: c.write, create: c.create}
				b, _ := bus.Over(config.Default(), slog.New(slog.DiscardHandler), js, nil)
				ctx, cancel := context.WithCancel(t.Context())
				var told []string
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = b.WatchStore(ctx, func(reason string) { told = append(told, reason) })
				}()
				write := func() { _ = b.PublishJob(ctx, &rtapv1.FinalJob{StreamId: "a", SegmentId: "a-1"}) }
				for range 4 {
					write()
					time.Sleep(5 * time.Second)
				}
				synctest.Wait()
				if c.says == "" {
					if len(told) > 0 {
						t.Errorf("told %q", told)
					}
				} else if len(told) != 1 || !strings.Contains(told[0], c.says) {
					t.Errorf("told %q, want %q once", told, c.says)
				}
				js.err = nil
				write()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if c.says != "" && (len(told) != 2 || told[1] != "") {
					t.Errorf("after a write that was stored: %q", told)
				}
				cancel()
				<-done
			})
		})
	}
}
