package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/clock"
)

const (
	// chunkSamples are sent at a time: 20 ms, as telephony and browsers do.
	chunkSamples = rateHz / 50
	wavHeader    = 44
)

// Speaker is a remote client: it sends a recording to /v1/listen in real time and keeps
// what comes back.
type Speaker struct {
	*Feed
	// Zero is when the recording's first sample was captured: chunks go out when their last
	// sample would have been.
	Zero int64
	sent chan struct{}
	err  error // of sending; after sent
}

// Speak connects and begins to send a WAV file as [material.Recording.Render] writes it.
func Speak(ctx context.Context, p *Pipeline, stream, path string, interims bool) (*Speaker, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening a recording: %w", err)
	}
	if _, err := f.Seek(wavHeader, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	q := url.Values{
		"encoding": {"linear16"}, "sample_rate": {fmt.Sprint(rateHz)}, "channels": {"1"},
		"interim_results": {fmt.Sprint(interims)}, "stream": {stream},
	}
	feed, err := open(ctx, p.Websocket("/v1/listen?"+q.Encode()))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &Speaker{Feed: feed, Zero: clock.Now().GetMonotonicNs(), sent: make(chan struct{})}
	go func() {
		defer close(s.sent)
		s.err = errors.Join(s.send(ctx, f), f.Close())
	}()
	return s, nil
}

func (s *Speaker) send(ctx context.Context, in io.Reader) error {
	began := time.Now()
	buf := make([]byte, 2*chunkSamples)
	for n := 1; ; n++ {
		size, err := io.ReadFull(in, buf)
		if size > 0 {
			due := began.Add(time.Duration(n) * chunkSamples * time.Second / rateHz)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.done:
				return s.Err()
			case <-time.After(time.Until(due)):
			}
			if err := s.conn.WriteMessage(websocket.BinaryMessage, buf[:size]); err != nil {
				return fmt.Errorf("sending audio: %w", err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return s.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"CloseStream"}`))
		}
		if err != nil {
			return fmt.Errorf("reading a recording: %w", err)
		}
	}
}

// Close ends the connection and waits until nothing is sent any more.
func (s *Speaker) Close() {
	s.Feed.Close()
	<-s.sent
}

// Err says why the recording was not sent, or no more messages come.
func (s *Speaker) Err() error {
	select {
	case <-s.sent:
		if s.err != nil {
			return s.err
		}
	default:
	}
	return s.Feed.Err()
}
