// Package moonshine runs Moonshine tiny (English, quantised) in ONNX Runtime.
//
// The encoder reads raw audio; the decoder is one graph with two branches: the first
// pass fills the key/value caches, every later one takes a single token and the caches.
package moonshine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

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
	heads    = 8
	headSize = 36
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
	encoder, decoder *onnx.Model
	vocabulary       []string
	pastOf           []int // for each decoder input: index of the output that feeds it, or -1
}

// New loads the pinned model; threads are those of one inference.
func New(threads int) (*Engine, error) {
	vocabulary, err := loadVocabulary()
	if err != nil {
		return nil, err
	}
	opts := onnx.Options{Threads: threads, Config: map[string]string{
		// Fold the quantised embedding once instead of at every token.
		"session.disable_quant_qdq": "1",
	}}
	e := &Engine{vocabulary: vocabulary}
	if e.encoder, err = onnx.Open(Name+"/encoder", opts); err != nil {
		return nil, err
	}
	if e.decoder, err = onnx.Open(Name+"/decoder", opts); err != nil {
		return nil, errors.Join(err, e.encoder.Close())
	}
	for _, in := range e.decoder.Inputs {
		e.pastOf = append(e.pastOf, slices.Index(e.decoder.Outputs, strings.Replace(in, "past_key_values", "present", 1)))
	}
	return e, nil
}

// Info names the engine.
func (e *Engine) Info() transcriber.Info {
	return transcriber.Info{Engine: "moonshine", Model: Name, Version: Version}
}

// Close frees the model.
func (e *Engine) Close() error { return errors.Join(e.encoder.Close(), e.decoder.Close()) }

// Transcribe implements transcriber.Engine.
func (e *Engine) Transcribe(ctx context.Context, pcm []float32, _ transcriber.Options) (transcriber.Transcript, error) {
	none := transcriber.Transcript{Language: "en"}
	if len(pcm) == 0 {
		none.Dropped = transcriber.DropNoAudio
		return none, nil
	}
	audio, peak := transcriber.Clean(pcm, minSamples, maxSamples)
	if peak < transcriber.SilencePeak {
		none.Dropped = transcriber.DropSilence
		return none, nil
	}
	ids, probs, err := e.infer(ctx, audio)
	if err != nil {
		return none, err
	}
	if len(ids) == 0 {
		if tight := closer(audio[:min(len(audio), len(pcm))]); tight != nil {
			if ids, probs, err = e.infer(ctx, tight); err != nil {
				return none, err
			}
		}
	}
	if transcriber.Repeats(ids) {
		none.Dropped = transcriber.DropRepetition
		return none, nil
	}
	t := transcriber.Transcript{Language: "en", Confidence: transcriber.GeometricMean(probs)}
	t.Words = words(e.vocabulary, ids, probs, audio[:min(len(audio), len(pcm))])
	texts := make([]string, len(t.Words))
	for i, w := range t.Words {
		texts[i] = w.Text
	}
	t.Text = strings.Join(texts, " ")
	switch {
	case t.Text == "":
		none.Dropped = transcriber.DropSilence
		return none, nil
	case t.Confidence < minConfidence:
		none.Dropped = transcriber.DropUncertain
		return none, nil
	}
	for _, id := range ids {
		t.Tokens = append(t.Tokens, uint32(id))
	}
	return t, nil
}

// closer cuts audio to its voiced part and a margin; nil when that changes little. A short
// phrase amid silence makes the decoder stop at its first token; without the silence it
// is heard.
func closer(audio []float32) []float32 {
	const margin = transcriber.SampleRateHz / 10
	from, to := voiced(audio)
	from, to = max(0, from-margin), min(len(audio), to+margin)
	if len(audio)-(to-from) < margin || to-from < minSamples {
		return nil
	}
	return audio[from:to]
}

func (e *Engine) infer(ctx context.Context, audio []float32) (ids []int64, probs []float64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	input, err := ort.NewTensor(ort.NewShape(1, int64(len(audio))), audio)
	if err != nil {
		return nil, nil, fmt.Errorf("making the audio tensor: %w", err)
	}
	defer destroy(input)
	hidden := []ort.Value{nil}
	if err := e.encoder.Run([]ort.Value{input}, hidden); err != nil {
		return nil, nil, fmt.Errorf("encoding audio: %w", err)
	}
	defer destroy(hidden...)
	limit := int(float64(len(audio))/transcriber.SampleRateHz*tokensPerSecond) + 6
	return e.decode(ctx, hidden[0], limit)
}

// decode takes the most likely token until the end token or the limit.
func (e *Engine) decode(ctx context.Context, hidden ort.Value, limit int) (ids []int64, probs []float64, err error) {
	d, err := newDecoding(e, hidden)
	if err != nil {
		return nil, nil, err
	}
	defer d.close()
	token := int64(bos)
	for range limit {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		logits, err := d.step(token)
		if err != nil {
			return nil, nil, err
		}
		var p float64
		token, p = best(logits)
		if token == eos {
			break
		}
		ids, probs = append(ids, token), append(probs, p)
		if transcriber.Repeats(ids) {
			break
		}
	}
	return ids, probs, nil
}

// best returns the most likely token and its probability.
func best(logits []float32) (id int64, p float64) {
	top := logits[0]
	for i, x := range logits {
		if x > top {
			top, id = x, int64(i)
		}
	}
	var sum float64
	for _, x := range logits {
		if d := x - top; d > -20 {
			sum += math.Exp(float64(d))
		}
	}
	return id, 1 / sum
}

func destroy(values ...ort.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy()
		}
	}
}
