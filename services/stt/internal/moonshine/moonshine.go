// Package moonshine runs Moonshine tiny (English, quantised) in ONNX Runtime.
//
// The encoder reads raw audio; the decoder is one graph with two branches: the first pass
// takes any number of tokens and fills the key/value caches, every later one takes a single
// token and the caches. Forcing tokens through the first pass is how a segment is decoded
// in the context of what was said before it.
package moonshine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rtap/rtap/pkg/onnx"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	ort "github.com/yalue/onnxruntime_go"
)

const (
	// Name is the catalogue's name of the model.
	Name = "moonshine-tiny-en"
	// Version of the package that the model comes in.
	Version = "0.1.29"

	bos, eos = 1, 2
	// minSamples is the least audio the encoder's convolutions accept, with a margin.
	minSamples = 1600
	maxSamples = 30 * transcriber.SampleRateHz
	// tokensPerSecond caps a runaway decoder; speech stays below it.
	tokensPerSecond = 6.5
)

// minConfidence is the geometric mean token probability below which a text is noise.
const minConfidence = 0.35

// Engine is a loaded model. One Transcribe at a time.
type Engine struct {
	encoder    *onnx.Model
	decoder    *decoder
	vocabulary []string
	marks      []int64 // the tokens that end sentences
}

// New loads the pinned model; threads are those of one inference.
func New(threads int) (*Engine, error) {
	vocabulary, err := loadVocabulary()
	if err != nil {
		return nil, err
	}
	e := &Engine{vocabulary: vocabulary, marks: sentenceMarks(vocabulary)}
	opts := onnx.Options{Threads: threads}
	if e.encoder, err = onnx.Open(Name+"/encoder", opts); err != nil {
		return nil, err
	}
	model, err := onnx.Open(Name+"/decoder", opts)
	if err != nil {
		return nil, errors.Join(err, e.encoder.Close())
	}
	if e.decoder, err = newDecoder(model); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Info names the engine.
func (e *Engine) Info() transcriber.Info {
	return transcriber.Info{Engine: "moonshine", Model: Name, Version: Version, Prefixed: true}
}

// Close frees the model.
func (e *Engine) Close() error { return errors.Join(e.encoder.Close(), e.decoder.close()) }

// Transcribe implements transcriber.Engine.
func (e *Engine) Transcribe(ctx context.Context, pcm []float32, opts transcriber.Options) (transcriber.Transcript, error) {
	if len(pcm) == 0 {
		return dropped(transcriber.DropNoAudio), nil
	}
	audio, peak := transcriber.Clean(pcm, minSamples, maxSamples)
	if peak < transcriber.SilencePeak {
		return dropped(transcriber.DropSilence), nil
	}
	own := audio[:min(len(audio), len(pcm))]
	prefix, heard := e.prefix(opts.Context, len(own)), audio
	forced, most := e.forced(opts.Forced, limit(own)), limit(own)
	if prefix != nil {
		before, _ := transcriber.Clean(opts.Context.PCM, 0, maxSamples)
		heard = slices.Concat(before, own)
		if len(opts.Context.Tokens) == 0 {
			most = limit(heard)
		}
	}
	reason := ""
	if prefix != nil || forced != nil {
		h, err := e.hear(ctx, heard, prefix, forced, most)
		if err != nil {
			return transcriber.Transcript{}, err
		}
		if reason = e.doubt(h, own); reason == "" {
			return e.transcript(h, own), nil
		}
	}
	t, err := e.alone(ctx, audio, own)
	t.Alone = reason
	return t, err
}

// alone decodes own without context and with nothing forced; audio is the same, filled up to what the encoder takes.
func (e *Engine) alone(ctx context.Context, audio, own []float32) (transcriber.Transcript, error) {
	h, err := e.hear(ctx, audio, nil, nil, limit(audio))
	if err != nil {
		return transcriber.Transcript{}, err
	}
	if len(h.ids) == 0 {
		if tight := closer(own); tight != nil {
			if h, err = e.hear(ctx, tight, nil, nil, limit(tight)); err != nil {
				return transcriber.Transcript{}, err
			}
		}
	}
	return e.transcript(h, own), nil
}

// transcript makes the answer of what was heard in audio.
func (e *Engine) transcript(h heard, audio []float32) transcriber.Transcript {
	if transcriber.Repeats(h.ids) {
		return dropped(transcriber.DropRepetition)
	}
	t := transcriber.Transcript{
		Language: "en", Confidence: transcriber.GeometricMean(h.probs), Words: words(e.vocabulary, h, audio), SentenceEnd: h.sentenceEnd,
	}
	t.Text = join(t.Words)
	switch {
	case t.Text == "":
		return dropped(transcriber.DropSilence)
	case t.Confidence < minConfidence:
		return dropped(transcriber.DropUncertain)
	}
	for _, id := range h.ids {
		t.Tokens = append(t.Tokens, uint32(id))
	}
	return t
}

func dropped(reason string) transcriber.Transcript {
	return transcriber.Transcript{Language: "en", Dropped: reason, SentenceEnd: -1}
}

// closer cuts audio to its voiced part and a margin; nil when that changes little. A short
// phrase amid silence makes the decoder stop at its first token; without the silence it
// is heard.
func closer(audio []float32) []float32 {
	const margin = transcriber.SampleRateHz / 10
	v := voiced(audio)
	if len(v) == 0 {
		return nil
	}
	from, to := max(0, v[0]*window-margin), min(len(audio), (v[len(v)-1]+1)*window+margin)
	if len(audio)-(to-from) < margin || to-from < minSamples {
		return nil
	}
	return audio[from:to]
}

// limit is the most tokens that so much audio may give.
func limit(audio []float32) int {
	return int(float64(len(audio))/transcriber.SampleRateHz*tokensPerSecond) + 6
}

// hear encodes audio and decodes it after prefix and what is forced after that.
func (e *Engine) hear(ctx context.Context, audio []float32, prefix, forced []int64, limit int) (heard, error) {
	hidden, err := e.encode(ctx, audio)
	if err != nil {
		return heard{}, err
	}
	defer destroy(hidden)
	return e.decode(ctx, hidden, prefix, forced, limit)
}

// encode returns what the encoder makes of audio, [1, positions, width]; the caller
// destroys it.
func (e *Engine) encode(ctx context.Context, audio []float32) (*ort.Tensor[float32], error) {
	input, err := ort.NewTensor(ort.NewShape(1, int64(len(audio))), audio)
	if err != nil {
		return nil, fmt.Errorf("making the audio tensor: %w", err)
	}
	defer destroy(input)
	outputs := []ort.Value{nil}
	if err := e.encoder.RunContext(ctx, []ort.Value{input}, outputs); err != nil {
		return nil, fmt.Errorf("encoding audio: %w", err)
	}
	hidden, ok := outputs[0].(*ort.Tensor[float32])
	if !ok {
		destroy(outputs[0])
		return nil, fmt.Errorf("encoding audio: the outcome is a %T", outputs[0])
	}
	return hidden, nil
}
