package stream

import (
	"fmt"
	"math"
	"strconv"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// judged is the audio that a warning rests on, and warnAgain after how much a problem that
	// lasts is told again.
	judged    = 5 * sampleRateHz
	warnAgain = 60 * sampleRateHz
	// fullScale is where a sample counts as clipped: resampling moves it a little below the end.
	fullScale = 32000
	// Of the samples heard this share may be clipped; speech that is not has none.
	mostClipped = 0.002
	// mostOffset is the mean, in parts of full scale, above which a converter is at fault.
	mostOffset = 0.02
	// leastLoud is the level of speech, in dB relative to full scale, below which words get
	// lost; leastSpeech is how much speech it takes to tell.
	leastLoud   = -50
	leastSpeech = sampleRateHz / 2
)

// Problems of a level; the names are those of the metric's label and the event's attribute.
const (
	problemClipped = "clipped"
	problemOffset  = "dc_offset"
	problemQuiet   = "too_quiet"
)

// quality watches for audio of which nobody can make good words, so that whoever wonders about
// a text finds the reason.
type quality struct {
	samples, clipped int
	sum              float64
	speech           int     // samples of frames that the detector takes for speech
	loudness         float64 // sum of their squares, without the offset
	told             map[string]int
	at               int
}

// problem is one that the last seconds had.
type problem struct{ name, message, value string }

// add takes a frame with its probability of speech, and returns what is to be told now.
func (q *quality) add(pcm []int16, p, onset float64) []problem {
	var sum, squares float64
	for _, x := range pcm {
		v := float64(x)
		sum, squares = sum+v, squares+v*v
		if v >= fullScale || v <= -fullScale {
			q.clipped++
		}
	}
	q.samples, q.sum, q.at = q.samples+len(pcm), q.sum+sum, q.at+len(pcm)
	if p >= onset {
		q.speech += len(pcm)
		q.loudness += squares - sum*sum/float64(len(pcm))
	}
	if q.samples < judged {
		return nil
	}
	found := q.judge()
	q.samples, q.clipped, q.sum, q.speech, q.loudness = 0, 0, 0, 0, 0
	var out []problem
	now := map[string]int{}
	for _, f := range found {
		last, known := q.told[f.name]
		if !known || q.at-last >= warnAgain {
			out, last = append(out, f), q.at
		}
		now[f.name] = last
	}
	q.told = now
	return out
}

func (q *quality) judge() []problem {
	var out []problem
	if share := float64(q.clipped) / float64(q.samples); share > mostClipped {
		out = append(out, problem{problemClipped, "the audio is clipped: lower the gain of the microphone or the sender", fmt.Sprintf("%.1f %% of the samples", 100*share)})
	}
	if offset := q.sum / float64(q.samples) / 32768; math.Abs(offset) > mostOffset {
		out = append(out, problem{problemOffset, "the audio has a constant offset: the sound card or its driver is at fault, or the sample format is not what it is taken for", fmt.Sprintf("%.3f of full scale", offset)})
	}
	if q.speech >= leastSpeech {
		if db := decibels(math.Sqrt(max(0, q.loudness) / float64(q.speech))); db < leastLoud {
			out = append(out, problem{problemQuiet, "speech is very quiet: raise the gain of the microphone or the sender", strconv.FormatFloat(float64(db), 'f', 0, 32) + " dBFS"})
		}
	}
	return out
}

// watch tells what is wrong with a frame and those before it.
func (s *Stream) watch(pcm []int16, p float32) {
	for _, f := range s.quality.add(pcm, float64(p), s.cfg.VAD.OnsetThreshold) {
		s.log.Warn("the audio is bad", "problem", f.name, "value", f.value, "what_to_do", f.message)
		s.metrics.LevelWarnings.WithLabelValues(f.name).Inc()
		s.bus.Emit(&rtapv1.ServiceEvent{
			Type: "Event", At: timestamppb.Now(), Service: "vad", Kind: "level", Severity: rtapv1.ServiceEvent_SEVERITY_WARNING,
			Message: f.message, StreamId: s.id, Attributes: map[string]string{"problem": f.name, "value": f.value},
		})
	}
}
