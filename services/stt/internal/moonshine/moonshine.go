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
	"slices"

	"github.com/rtap/rtap/pkg/onnx"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
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
	encoder    *encoder
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
	if e.encoder, err = newEncoder(threads); err != nil {
		if e.encoder != nil {
			err = errors.Join(err, e.encoder.close())
		}
		return nil, err
	}
	model, err := onnx.Open(Name+"/decoder", onnx.Options{Threads: threads})
	if err != nil {
		return nil, errors.Join(err, e.encoder.close())
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
func (e *Engine) Close() error { return errors.Join(e.encoder.close(), e.decoder.close()) }

// sound is audio of a stream, "" for none, the first so many samples of which are context.
type sound struct {
	audio   []float32
	context int
	stream  string
	draft   bool
}

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
	s := sound{audio: audio, stream: opts.Stream, draft: opts.Draft}
	reason := ""
	if prefix, forced := e.prefix(opts.Context, len(own)), e.forced(opts.Forced, limit(own)); prefix != nil || forced != nil {
		t, why, err := e.continued(ctx, s, own, opts.Context, prefix, forced)
		if err != nil || why == "" {
			return t, err
		}
		s, reason = sound{audio: audio}, why
	}
	t, err := e.alone(ctx, s, own)
	switch {
	case t.Alone == "":
		t.Alone = reason
	case opts.Draft:
		return dropped(transcriber.DropRepetition), err // the next draft would be forced to go on from another text
	}
	return t, err
}

// continued decodes own, which s holds, filled up to what the encoder takes, after prefix, if there is one that its
// context gives, and what is forced. The answer stands when there is no reason to hear own alone.
func (e *Engine) continued(ctx context.Context, s sound, own []float32, c *transcriber.Context, prefix, forced []int64) (t transcriber.Transcript, reason string, err error) {
	said, most := own, limit(own)
	if prefix != nil {
		before, _ := transcriber.Clean(c.PCM, 0, maxSamples)
		s.audio, s.context = slices.Concat(before, own), len(before)
		if len(c.Tokens) == 0 {
			said, most = s.audio, limit(s.audio) // nothing was heard before: it is said now
		}
	}
	h, err := e.hear(ctx, s, prefix, forced, most)
	if err != nil {
		return t, "", err
	}
	switch reason = e.doubt(h, prefix, said); {
	case reason == "":
		return e.transcript(h, own), "", nil
	case reason != aloneEmpty || len(said) == len(own):
		return t, reason, nil
	}
	both, err := e.closely(ctx, said)
	if err != nil {
		return t, "", err
	}
	if t = e.transcript(both, own); t.Text != "" && !transcriber.Loops(both.ids) {
		t.Alone = reason
		return t, "", nil
	}
	if len(voiced(own))*window < minSpeech {
		return e.transcript(h, own), "", nil
	}
	return t, reason, nil
}

// alone decodes own without context and with nothing forced; s is the same, filled up to what the encoder takes.
func (e *Engine) alone(ctx context.Context, s sound, own []float32) (transcriber.Transcript, error) {
	h, err := e.hear(ctx, s, nil, nil, limit(s.audio))
	if err != nil {
		return transcriber.Transcript{}, err
	}
	if len(h.ids) == 0 {
		if h, err = e.closely(ctx, own); err != nil {
			return transcriber.Transcript{}, err
		}
	}
	return e.believed(ctx, h, own)
}

// closely decodes what is voiced in audio, without the silence around it, where there is some. Of two short words with a
// pause between them 8 of 64 cuts gave no text with a margin of 100 ms, and none where 50 ms were tried next.
func (e *Engine) closely(ctx context.Context, audio []float32) (h heard, err error) {
	h.sentenceEnd = -1
	for _, margin := range []int{transcriber.SampleRateHz / 10, transcriber.SampleRateHz / 20} {
		tight := closer(audio, margin)
		if tight == nil {
			continue
		}
		if h, err = e.hear(ctx, sound{audio: tight}, nil, nil, limit(tight)); err != nil || len(h.ids) > 0 {
			break
		}
	}
	return h, err
}

// transcript makes the answer of what was heard in audio.
func (e *Engine) transcript(h heard, audio []float32) transcriber.Transcript {
	t := transcriber.Transcript{Language: "en", Confidence: transcriber.GeometricMean(h.probs), SentenceEnd: h.sentenceEnd}
	var sounds bool
	t.Words, t.Tokens, sounds = transcriber.WithoutSounds(words(e.vocabulary, h, audio), h.ids)
	t.Text = transcriber.TextOf(t.Words, " ")
	switch {
	case !transcriber.Sayable(t.Text):
		return dropped(transcriber.NothingSaid(sounds))
	case t.Confidence < minConfidence:
		return dropped(transcriber.DropUncertain)
	}
	return t
}

func dropped(reason string) transcriber.Transcript {
	return transcriber.Transcript{Language: "en", Dropped: reason, SentenceEnd: -1}
}

// closer cuts audio to its voiced part and a margin of samples; nil when that changes little. A short
// phrase amid silence makes the decoder stop at its first token; without the silence it
// is heard.
func closer(audio []float32, margin int) []float32 {
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

// hear encodes audio and decodes it after prefix and what is forced after that. A draft is
// always encoded as a whole, and kept for what becomes of the segment.
func (e *Engine) hear(ctx context.Context, s sound, prefix, forced []int64, limit int) (heard, error) {
	from := s.stream
	if s.draft {
		from = ""
	}
	x, err := e.encoder.encode(ctx, from, s.audio)
	if err != nil {
		return heard{}, err
	}
	defer e.encoder.pasts.release(x)
	h, err := e.decode(ctx, x, prefix, forced, x.expected(s.context, forced), limit)
	if s.draft && s.stream != "" && x.cross != nil {
		x.own, x.ids = s.context, h.ids
		e.encoder.pasts.keep(s.stream, x)
	}
	return h, err
}
