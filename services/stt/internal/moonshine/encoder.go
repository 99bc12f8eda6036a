package moonshine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/onnx"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	ort "github.com/yalue/onnxruntime_go"
)

const (
	// hop is the samples from one of the encoder's frames to the next.
	hop = 384
	// ahead is how much a frame must have heard of what follows it to be taken as it is.
	ahead = 2 * transcriber.SampleRateHz
	// leastKept is the least, in frames, for which it is worth going on from a draft: 1.2 s.
	leastKept = 50
	// maxExpected is the most tokens of a draft that are checked in one pass; the logits of one take 128 KiB.
	maxExpected = 24
)

// encoder encodes audio. It is bidirectional: every frame depends on all others, and an end of a
// second is no less work than the whole. But what a draft made of the segment a moment ago, with all of
// its context, differs little from what would be made of it now, except near the draft's
// end. So what will be final goes on from there: see [encoder.encode].
type encoder struct {
	model *onnx.Model
	// For each output its place among the inputs, as the past; -1 for the hidden state.
	past                        []int
	audio, hidden, from, to, at int         // places; hidden is an output, the others are inputs
	none                        []ort.Value // inputs of an empty past
	pasts                       *pasts
}

// encoded is what was made of audio; frame i is that of the samples from i·hop on.
type encoded struct {
	audio    []float32
	frames   int
	position int                  // of the first frame
	outputs  []ort.Value          // of the encoder
	hidden   *ort.Tensor[float32] // one of them: of the frames that are new, [1, new frames, width]
	cross    []ort.Value          // the decoder's keys and values of all frames; nil until its first pass
	past     *encoded             // whose frames [from, to) come first; nil without, and after release
	from, to int
	first    int     // sample of the past's audio with which this one's began
	own      int     // samples of context
	ids      []int64 // what was heard after them
	users    int     // guarded by pasts
}

func newEncoder(threads int) (*encoder, error) {
	model, err := onnx.Open(Name+"/encoder", onnx.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	e := &encoder{
		model: model, past: make([]int, len(model.Outputs)), none: make([]ort.Value, len(model.Inputs)), pasts: openPasts(),
		audio: slices.Index(model.Inputs, "input_values"), hidden: slices.Index(model.Outputs, "last_hidden_state"),
		from: slices.Index(model.Inputs, "past.from"), to: slices.Index(model.Inputs, "past.to"), at: slices.Index(model.Inputs, "position"),
	}
	for out, name := range model.Outputs {
		in := slices.Index(model.Inputs, strings.Replace(name, "present.", "past.", 1))
		if e.past[out] = in; out == e.hidden {
			continue
		}
		if min(in, e.audio, e.hidden, e.from, e.to, e.at) < 0 {
			return e, fmt.Errorf("the encoder takes %v and gives %v", model.Inputs, model.Outputs)
		}
		if e.none[in], err = ort.NewEmptyTensor[float32](cacheShape(0)); err != nil {
			return e, fmt.Errorf("making encoder tensors: %w", err)
		}
	}
	return e, nil
}

func (e *encoder) close() error {
	for _, v := range e.none {
		if v != nil {
			destroy(v)
		}
	}
	e.pasts.close()
	return e.model.Close()
}

// encode encodes audio, going on from the stream's last draft if the audio begins in it: frames that
// heard two seconds more are taken as they are. The caller releases the outcome.
func (e *encoder) encode(ctx context.Context, stream string, audio []float32) (*encoded, error) {
	x := &encoded{audio: audio, outputs: make([]ort.Value, len(e.past)), users: 1}
	if p := e.pasts.of(stream); p != nil {
		if first, ok := p.reach(audio); ok {
			x.past, x.first, x.from, x.to = p, first, (first+hop-1)/hop, p.settled()
			// The audio may begin within a frame of the past; frames are counted from the next.
			x.audio, x.position = audio[x.from*hop-first:], p.position+x.from
		} else {
			e.pasts.release(p)
		}
	}
	if err := e.run(ctx, x); err != nil {
		e.pasts.release(x)
		return nil, err
	}
	return x, nil
}

func (e *encoder) run(ctx context.Context, x *encoded) error {
	inputs, kept := slices.Clone(e.none), x.to-x.from
	if x.past != nil {
		for out, in := range e.past {
			if out != e.hidden {
				inputs[in] = x.past.outputs[out]
			}
		}
	}
	audio := x.audio[kept*hop:]
	var made [4]ort.Value
	var errs [4]error
	made[0], errs[0] = ort.NewTensor(ort.NewShape(1, int64(len(audio))), audio)
	made[1], errs[1] = ort.NewTensor(ort.NewShape(1), []int64{int64(x.from)})
	made[2], errs[2] = ort.NewTensor(ort.NewShape(1), []int64{int64(x.to)})
	made[3], errs[3] = ort.NewScalar(int64(x.position + kept))
	for i, place := range []int{e.audio, e.from, e.to, e.at} {
		if errs[i] != nil {
			return fmt.Errorf("making encoder tensors: %w", errs[i])
		}
		inputs[place] = made[i]
		defer destroy(made[i])
	}
	if err := e.model.RunContext(ctx, inputs, x.outputs); err != nil {
		return fmt.Errorf("encoding audio: %w", err)
	}
	var ok bool
	if x.hidden, ok = x.outputs[e.hidden].(*ort.Tensor[float32]); !ok {
		return fmt.Errorf("encoding audio: the outcome is a %T", x.outputs[e.hidden])
	}
	x.frames = kept + int(x.hidden.GetShape()[1])
	return nil
}

// settled is how many frames of x may be taken as they are.
func (x *encoded) settled() int { return min(x.frames, max(0, len(x.audio)-ahead)/hop) }

// reach says with which sample of x audio begins, if enough of it is settled in x.
func (x *encoded) reach(audio []float32) (first int, ok bool) {
	const least = leastKept * hop
	if len(audio) < least {
		return 0, false
	}
	loudest := 0 // the sample that is the least likely to be there twice
	for i, v := range audio[:least] {
		if v > audio[loudest] {
			loudest = i
		}
	}
	end := x.settled() * hop
	for first = 0; first+least+hop <= end && x.audio != nil; first++ {
		// What follows must be long enough to be encoded by itself.
		if n := end - first; x.audio[first+loudest] == audio[loudest] && n+minSamples <= len(audio) && slices.Equal(audio[:n], x.audio[first:end]) {
			return first, true
		}
	}
	return 0, false
}

// expected is what a draft heard of the same segment after what is forced, for the decoder to
// check in one pass; nil when nothing is known. known is how many samples are context.
func (x *encoded) expected(known int, forced []int64) []int64 {
	if x.past == nil || x.past.own != x.first+known || len(x.past.ids) < len(forced) || !slices.Equal(x.past.ids[:len(forced)], forced) {
		return nil
	}
	ids := x.past.ids[len(forced):]
	return ids[:min(len(ids), maxExpected)]
}

func (x *encoded) destroy() {
	for _, v := range slices.Concat(x.outputs, x.cross) {
		if v != nil {
			destroy(v)
		}
	}
}
