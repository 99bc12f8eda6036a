package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	stt "github.com/rtap/rtap/services/stt/sim"
)

// detector tells speech by its level.
type detector struct{}

func (detector) Probability(f []float32) (float32, error) {
	if f[0] > 0.1 {
		return 0.95, nil
	}
	return 0.05, nil
}
func (detector) State() []byte         { return []byte{1} }
func (detector) SetState([]byte) error { return nil }
func (detector) Reset()                {}
func (detector) Close() error          { return nil }

// engine hears the numbers in the audio; it takes its time, and fails now and then.
type engine struct {
	oracle *oracle
	mu     sync.Mutex
	random *rand.Rand
}

var errEngine = errors.New("the engine has failed")

func (e *engine) Info() stt.Info {
	return stt.Info{Engine: "sim", Model: "numbers", Version: "1", Prefixed: true}
}
func (e *engine) Close() error { return nil }

func (e *engine) Transcribe(ctx context.Context, pcm []float32, opts stt.Options) (stt.Transcript, error) {
	e.mu.Lock()
	takes := 5*time.Millisecond + time.Duration(e.random.ExpFloat64()*float64(40*time.Millisecond))
	if e.random.IntN(40) == 0 {
		takes += time.Duration(e.random.IntN(1500)) * time.Millisecond
	}
	fails := e.random.IntN(60) == 0
	e.mu.Unlock()
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return stt.Transcript{}, ctx.Err()
	}
	if fails {
		return stt.Transcript{}, errEngine
	}
	if c := opts.Context; c != nil && !slices.Equal(c.Tokens, spokenIn(c.PCM)) {
		e.oracle.breaks("the context of a segment is not what was said in its audio: %v for %v", c.Tokens, spokenIn(c.PCM))
	}
	out := stt.Transcript{Confidence: 1, Language: "en", SentenceEnd: -1, Tokens: spokenIn(pcm)}
	out.Text = textOf(out.Tokens)
	for i := 0; i < len(pcm); i += frameSamples {
		if numbers := spokenIn(pcm[i:min(i+frameSamples, len(pcm))]); len(numbers) == 1 {
			out.Words = append(out.Words, stt.Word{Text: strconv.Itoa(int(numbers[0])), Start: i, End: i + frameSamples, Confidence: 1, Tokens: 1})
		}
	}
	if out.Text == "" {
		out.Dropped = "silence"
	}
	return out, nil
}
