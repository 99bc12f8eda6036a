package verify

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// final is a transcript as a feed gave it.
type final struct {
	Type    string `json:"type"`
	IsFinal bool   `json:"is_final"`
	Channel struct {
		Alternatives []struct {
			Transcript string `json:"transcript"`
		} `json:"alternatives"`
	} `json:"channel"`
	Rtap struct {
		StreamID  string `json:"stream_id"`
		Seq       uint32 `json:"seq"`
		LogID     string `json:"log_id"`
		LatencyMS struct {
			Pipeline         float64 `json:"pipeline"`
			SpeechEndToFinal float64 `json:"speech_end_to_final"`
		} `json:"latency_ms"`
	} `json:"rtap"`

	raw    string
	number uint32 // ZeroMQ's third frame
}

func (f final) text() string {
	if len(f.Channel.Alternatives) == 0 {
		return ""
	}
	return f.Channel.Alternatives[0].Transcript
}

// parse reads a message of a feed; ok is false for what is no final of stream.
func parse(raw []byte, stream string) (f final, ok bool) {
	if json.Unmarshal(raw, &f) != nil || f.Type != "Results" || !f.IsFinal || f.Rtap.StreamID != stream {
		return f, false
	}
	f.raw = string(raw)
	return f, true
}

// feed collects the finals of one stream from one socket until it is closed.
type feed struct {
	name string

	mu     sync.Mutex
	finals []final
	count  int // of every message
	err    error
	close  func()
	done   chan struct{}
}

func (f *feed) add(one final) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finals = append(f.finals, one)
}

func (f *feed) heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
}

func (f *feed) all() (finals []final, messages int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]final(nil), f.finals...), f.count
}

// await returns when the feed has given n finals, or says that it has not in time.
func (f *feed) await(ctx context.Context, n int) ([]final, error) {
	for {
		got, _ := f.all()
		if len(got) >= n {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return got, fmt.Errorf("%s gave %d of %d finals: %w", f.name, len(got), n, ctx.Err())
		case <-f.done:
			return got, fmt.Errorf("%s ended after %d of %d finals: %w", f.name, len(got), n, f.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the feed and waits for its reader.
func (f *feed) stop() {
	f.close()
	<-f.done
}

// overWebSocket subscribes to /stream; more are further parameters.
func (g gateway) overWebSocket(ctx context.Context, stream string, more url.Values) (*feed, error) {
	q := url.Values{"streams": {stream}}
	for key, values := range more {
		q[key] = values
	}
	conn, err := g.dial(ctx, "/stream", q)
	if err != nil {
		return nil, err
	}
	f := &feed{name: g.name + " WebSocket", close: func() { _ = conn.Close() }, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				f.err = err
				return
			}
			f.heard()
			if one, ok := parse(data, stream); ok {
				f.add(one)
			}
		}
	}()
	return f, nil
}

// overZeroMQ subscribes to a topic prefix on one of the two ports.
func (g gateway) overZeroMQ(ctx context.Context, port int, prefix, stream string) (*feed, error) {
	s, err := subscribe(ctx, g.address(port), prefix)
	if err != nil {
		return nil, err
	}
	f := &feed{name: fmt.Sprintf("%s ZeroMQ %d", g.name, port), close: s.close, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for {
			frames, err := s.message()
			if err != nil {
				f.err = err
				return
			}
			if len(frames) != 3 || len(frames[2]) != 4 {
				f.err = fmt.Errorf("a message has %d frames, want topic, JSON and number", len(frames))
				return
			}
			f.heard()
			if one, ok := parse(frames[1], stream); ok {
				one.number = binary.LittleEndian.Uint32(frames[2])
				f.add(one)
			}
		}
	}()
	return f, nil
}

// speak sends a recording to /v1/listen at the pace of speech and returns the finals that
// come back for it.
func (g gateway) speak(ctx context.Context, stream string, rateHz int, pcm []byte) ([]final, error) {
	conn, err := g.dial(ctx, "/v1/listen", url.Values{
		"encoding": {"linear16"}, "sample_rate": {fmt.Sprint(rateHz)}, "channels": {"1"}, "interim_results": {"true"}, "stream": {stream},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	var got []final
	read := make(chan error, 1) // one error, that ends the reading
	go func() {
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				read <- err
				return
			}
			if one, ok := parse(data, stream); ok && one.Rtap.Seq > 0 {
				got = append(got, one)
			}
		}
	}()
	sent := send(ctx, conn, rateHz, pcm)
	if sent != nil {
		_ = conn.Close()
	}
	var ended error
	select {
	case ended = <-read:
	case <-ctx.Done():
		_ = conn.Close() // which ends the reading
		return got, errors.Join(sent, <-read, fmt.Errorf("the gateway did not close the connection after CloseStream: %w", ctx.Err()))
	}
	if sent != nil {
		return got, sent
	}
	if !websocket.IsCloseError(ended, websocket.CloseNormalClosure) {
		return got, fmt.Errorf("the gateway closed the connection: %w", ended)
	}
	return got, nil
}

const pieceMS = 100

func send(ctx context.Context, conn *websocket.Conn, rateHz int, pcm []byte) error {
	tick := time.NewTicker(pieceMS * time.Millisecond)
	defer tick.Stop()
	piece := rateHz * pieceMS / 1000 * 2
	for len(pcm) > 0 {
		n := min(piece, len(pcm))
		if err := conn.WriteMessage(websocket.BinaryMessage, pcm[:n]); err != nil {
			return fmt.Errorf("sending audio: %w", err)
		}
		pcm = pcm[n:]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"CloseStream"}`)); err != nil {
		return fmt.Errorf("ending the audio: %w", err)
	}
	return nil
}
