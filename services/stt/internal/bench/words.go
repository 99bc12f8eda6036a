package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// ratios of speech to noise, in dB, at which words are heard besides without noise: down to
// where many of them are wrong.
var ratios = []float64{10, 5, 0}

// joined is the silence put between two clips.
const joined = 800 * transcriber.SampleRateHz / 1000

// words fills in whether confidence tells right words from wrong ones, and how far the
// words' times are off.
func words(ctx context.Context, e transcriber.Engine, cfg Config, r *bench.Report) error {
	var right, wrong []float64
	for _, c := range cfg.Clips {
		for level := range len(ratios) + 1 {
			var ref, hyp []string
			var scores []float64
			for i, pcm := range c.Pieces {
				if level > 0 {
					pcm = noisy(pcm, ratios[level-1], uint64(i))
				}
				t, err := e.Transcribe(ctx, pcm, cfg.Options)
				if err != nil {
					return fmt.Errorf("transcribing %s in noise: %w", c.Name, err)
				}
				for _, w := range t.Words {
					for _, text := range wer.Words(w.Text) {
						hyp, scores = append(hyp, text), append(scores, w.Confidence)
					}
				}
			}
			ref = wer.Words(c.Text)
			for _, p := range wer.Align(ref, hyp) {
				switch {
				case p.Hyp < 0:
				case p.Ref >= 0 && ref[p.Ref] == hyp[p.Hyp]:
					right = append(right, scores[p.Hyp])
				default:
					wrong = append(wrong, scores[p.Hyp])
				}
			}
		}
	}
	r.Confidence = confidence(right, wrong)
	return times(ctx, e, cfg, r)
}

// confidence says how well a score parts right from wrong.
func confidence(right, wrong []float64) bench.Confidence {
	c := bench.Confidence{Right: len(right), Wrong: len(wrong), RightMean: mean(right), WrongMean: mean(wrong), AUC: 0.5}
	if len(right) == 0 || len(wrong) == 0 {
		return c
	}
	sorted := slices.Sorted(slices.Values(wrong))
	var wins float64
	for _, x := range right {
		below, _ := slices.BinarySearch(sorted, x)
		above, _ := slices.BinarySearchFunc(sorted, x, func(a, b float64) int {
			if a <= b {
				return -1
			}
			return 1
		})
		wins += float64(below) + float64(above-below)/2 // a tie counts half
	}
	c.AUC = wins / float64(len(right)) / float64(len(wrong))
	return c
}

func mean(of []float64) (m float64) {
	for _, x := range of {
		m += x / float64(len(of))
	}
	return m
}

// noisy adds a fan's noise to speech.
func noisy(pcm []float32, ratio float64, seed uint64) []float32 {
	noise := synth.Sound("fan", len(pcm), 1, seed)
	gain := math.Sqrt(power(pcm)/max(power(noise), 1e-12)) / math.Pow(10, ratio/20)
	out := make([]float32, len(pcm))
	for i := range out {
		out[i] = pcm[i] + float32(gain)*noise[i]
	}
	return out
}

func power(pcm []float32) (sum float64) {
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return sum / float64(max(1, len(pcm)))
}

// times joins each two short clips with a silence, so that it is known when the first one's
// last word ends and the second one's first word begins.
func times(ctx context.Context, e transcriber.Engine, cfg Config, r *bench.Report) error {
	var off []time.Duration
	for i, a := range cfg.Clips {
		for j, b := range cfg.Clips {
			if i == j || len(a.Pieces) > 1 || len(b.Pieces) > 1 || len(a.Pieces[0])+len(b.Pieces[0])+joined > longestSegment {
				continue
			}
			aEnd, bStart := loudEdges(a.Pieces[0], b.Pieces[0])
			at := len(a.Pieces[0]) + joined
			t, err := e.Transcribe(ctx, slices.Concat(a.Pieces[0], make([]float32, joined), b.Pieces[0]), cfg.Options)
			if err != nil {
				return fmt.Errorf("transcribing %s and %s: %w", a.Name, b.Name, err)
			}
			ref, last := append(wer.Words(a.Text), wer.Words(b.Text)...), len(wer.Words(a.Text))-1
			var hyp []string
			var of []transcriber.Word
			for _, w := range t.Words {
				for _, text := range wer.Words(w.Text) {
					hyp, of = append(hyp, text), append(of, w)
				}
			}
			for _, p := range wer.Align(ref, hyp) {
				if p.Hyp < 0 || p.Ref < 0 || ref[p.Ref] != hyp[p.Hyp] {
					continue
				}
				switch p.Ref {
				case last:
					off = append(off, apart(of[p.Hyp].End, aEnd))
				case last + 1:
					off = append(off, apart(of[p.Hyp].Start, at+bStart))
				default:
					continue
				}
				r.WordTimes.Estimated = of[p.Hyp].Estimated
			}
		}
	}
	r.WordTimes.Edges = len(off)
	r.WordTimes.P50MS, r.WordTimes.P95MS = milliseconds(bench.Percentile(off, 0.5)), milliseconds(bench.Percentile(off, 0.95))
	return nil
}

func apart(a, b int) time.Duration {
	return time.Duration(max(a-b, b-a)) * time.Second / transcriber.SampleRateHz
}

// loudEdges returns where the sound of a ends and that of b begins: at the last and the
// first 10 ms within 35 dB of the loudest.
func loudEdges(a, b []float32) (end, start int) {
	const window = transcriber.SampleRateHz / 100
	loud := func(pcm []float32) (first, last int) {
		top := 0.0
		for i := 0; i+window <= len(pcm); i += window {
			top = max(top, power(pcm[i:i+window]))
		}
		first = -1
		for i := 0; i+window <= len(pcm); i += window {
			if power(pcm[i:i+window]) > top/3162 {
				if first < 0 {
					first = i
				}
				last = i + window
			}
		}
		return max(0, first), last
	}
	_, end = loud(a)
	start, _ = loud(b)
	return end, start
}
