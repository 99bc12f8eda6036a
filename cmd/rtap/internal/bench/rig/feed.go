package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/clock"
)

// Message is one message of the feed and when it was read, by the host's monotonic clock.
type Message struct {
	At   int64  `json:"at"`
	Type string `json:"type"`

	Start       float64 `json:"start"`
	Duration    float64 `json:"duration"`
	IsFinal     bool    `json:"is_final"`
	SpeechFinal bool    `json:"speech_final"`
	Channel     struct {
		Alternatives []Alternative `json:"alternatives"`
	} `json:"channel"`
	Rtap struct {
		Stream         string  `json:"stream_id"`
		Segment        string  `json:"segment_id"`
		Ordinal        uint32  `json:"ordinal"`
		Seq            uint32  `json:"seq"`
		AfterSeq       uint32  `json:"after_seq"`
		Epoch          uint32  `json:"epoch"`
		CommittedChars int     `json:"committed_chars"`
		ClosedAt       float64 `json:"closed_at"`
		ClosedBy       string  `json:"closed_by"`
		Speculative    bool    `json:"speculative"`
		Late           bool    `json:"late"`
		Latency        struct {
			Vad              float64 `json:"vad"`
			Queue            float64 `json:"queue"`
			STT              float64 `json:"stt"`
			Pipeline         float64 `json:"pipeline"`
			SpeechEndToFinal float64 `json:"speech_end_to_final"`
		} `json:"latency_ms"`
	} `json:"rtap"`
	Metadata struct {
		ModelInfo struct {
			Name string `json:"name"`
		} `json:"model_info"`
	} `json:"metadata"`
}

// Alternative is a transcript.
type Alternative struct {
	Transcript string  `json:"transcript"`
	Confidence float64 `json:"confidence"`
	Words      []Word  `json:"words"`
}

// Word of a transcript, in seconds of the epoch.
type Word struct {
	Word       string  `json:"word"`
	Start      float64 `json:"start"`
	End        float64 `json:"end"`
	Confidence float64 `json:"confidence"`
	Estimated  bool    `json:"estimated"`
}

// Text of the first alternative.
func (m *Message) Text() string {
	if len(m.Channel.Alternatives) == 0 {
		return ""
	}
	return m.Channel.Alternatives[0].Transcript
}

// Words of the first alternative.
func (m *Message) Words() []Word {
	if len(m.Channel.Alternatives) == 0 {
		return nil
	}
	return m.Channel.Alternatives[0].Words
}

// Feed is a WebSocket client of the gateway that keeps what comes.
type Feed struct {
	conn *websocket.Conn
	done chan struct{}

	mu       sync.Mutex
	messages []Message
	ended    map[string]bool
	err      error
}

// Follow connects to the gateway's /stream.
func Follow(ctx context.Context, p *Pipeline, interims bool) (*Feed, error) {
	return open(ctx, p.Websocket(fmt.Sprintf("/stream?interim_results=%t", interims)))
}

func open(ctx context.Context, url string) (*Feed, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if res != nil {
		defer func() { _ = res.Body.Close() }()
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", url, err)
	}
	f := &Feed{conn: conn, done: make(chan struct{}), ended: map[string]bool{}}
	go f.read()
	return f, nil
}

func (f *Feed) read() {
	defer close(f.done)
	for {
		kind, data, err := f.conn.ReadMessage()
		at := clock.Now().GetMonotonicNs()
		if err != nil {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
			return
		}
		if kind != websocket.TextMessage {
			continue
		}
		m := Message{}
		if err := json.Unmarshal(data, &m); err != nil {
			continue // counted by nobody: the gateway's own tests prove its JSON
		}
		m.At = at
		f.mu.Lock()
		f.messages = append(f.messages, m)
		// /stream tells of ends by StreamEnd, /v1/listen by Metadata, behind which it closes.
		if m.Type == "StreamEnd" || m.Type == "Metadata" {
			f.ended[m.Rtap.Stream] = true
		}
		f.mu.Unlock()
	}
}

// Messages returns what has come so far.
func (f *Feed) Messages() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.messages[:len(f.messages):len(f.messages)]
}

// Ended counts the streams whose end has come.
func (f *Feed) Ended() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ended)
}

// ErrFeed says that the gateway closed the connection.
var ErrFeed = errors.New("the gateway closed the feed")

// Err says why no more messages come; nil while they do.
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || (len(f.ended) > 0 && websocket.IsCloseError(f.err, websocket.CloseNormalClosure)) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFeed, f.err)
}

// Close ends the connection and waits until nothing more comes.
func (f *Feed) Close() {
	_ = f.conn.Close()
	<-f.done
}
