// Package bench is the outcome of a recogniser's measurement: `rtap-stt bench` writes it,
// `rtap bench engines` reads it.
package bench

import (
	"math"
	"slices"
	"time"
)

// Report is one model's measurement. A rate is a fraction, not a percentage.
type Report struct {
	Engine  string `json:"engine"`
	Model   string `json:"model"`
	Dtype   string `json:"dtype"`
	Version string `json:"version"` // of the engine
	Threads int    `json:"threads"` // of one inference

	LoadMS float64 `json:"load_ms"` // with the checks of its files
	// MemoryMB is what the process grew by from before loading to after an inference with
	// the longest clip; CopyMB the same for a second copy, 0 when there was no room for it
	// or nothing to be seen.
	MemoryMB float64 `json:"memory_mb"`
	CopyMB   float64 `json:"memory_copy_mb"`
	// The process's resident memory at those times.
	BeforeMB float64 `json:"rss_before_mb"`
	LoadedMB float64 `json:"rss_loaded_mb"`
	FirstMB  float64 `json:"rss_first_mb"`

	Clips        int     `json:"clips"` // utterances; long recordings are cut
	Runs         int     `json:"runs"`  // over all clips
	AudioSeconds float64 `json:"audio_seconds"`
	Words        int     `json:"words"`
	Errors       int     `json:"errors"`
	WER          float64 `json:"wer"`
	// Interval is where the rate lies with 95 % certainty if words go wrong independently
	// of one another; they do so in clusters, which makes it wider still.
	Interval [2]float64 `json:"wer_ci"`
	P50MS    float64    `json:"p50_ms"` // per clip
	P95MS    float64    `json:"p95_ms"`
	RTF      float64    `json:"rtf"` // time spent / time spoken
	// Unheard counts clips without a text, by reason.
	Unheard    map[string]int `json:"clips_dropped"`
	Recordings []Recording    `json:"recordings"`

	Confidence Confidence `json:"confidence"`
	WordTimes  WordTimes  `json:"word_times"`

	NoiseSeconds  float64        `json:"noise_seconds"`
	NoiseSegments int            `json:"noise_segments"`
	NoiseTexts    int            `json:"noise_texts"`   // segments that gave a text: all invented
	NoiseDropped  map[string]int `json:"noise_dropped"` // segments that gave none, by reason
	NoiseRTF      float64        `json:"noise_rtf"`
	Invented      []Invented     `json:"invented"` // the first few
}

// Confidence says whether right words score higher than wrong ones, over the clips as they
// are and in noise of 10, 5 and 0 dB.
type Confidence struct {
	Right     int     `json:"right"`
	Wrong     int     `json:"wrong"`
	RightMean float64 `json:"right_mean"`
	WrongMean float64 `json:"wrong_mean"`
	// AUC is the probability that a right word scores higher than a wrong one; 0.5 is chance.
	AUC float64 `json:"auc"`
}

// WordTimes is how far words' times are off where they are known: at the silence between
// two clips that were joined.
type WordTimes struct {
	Estimated bool    `json:"estimated"` // by the engine's own word
	Edges     int     `json:"edges"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
}

// Recording is what was heard in one file.
type Recording struct {
	File   string `json:"file"`
	Words  int    `json:"words"`
	Errors int    `json:"errors"`
	Text   string `json:"text"`
}

// Invented is a text for a sound that is no speech: synth.Sound makes it again.
type Invented struct {
	Kind       string  `json:"kind"`
	Samples    int     `json:"samples"`
	Peak       float64 `json:"peak"`
	Seed       uint64  `json:"seed"`
	Text       string  `json:"text"`
	Confidence float64 `json:"confidence"`
}

// Percentile returns the value below which a share p (0 to 1) of the times lies, between
// neighbours in proportion; 0 without times.
func Percentile(times []time.Duration, p float64) time.Duration {
	figures := make([]float64, len(times))
	for i, t := range times {
		figures[i] = float64(t)
	}
	slices.Sort(figures)
	return time.Duration(math.Round(Quantile(figures, p)))
}

// Quantile is the same of figures that are sorted.
func Quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := min(1, max(0, p)) * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Interval is Wilson's 95 % score interval of errs out of n. With more errors than words,
// which insertions make possible, it is that of all words wrong, up to the rate itself.
func Interval(errs, n int) [2]float64 {
	if n == 0 {
		return [2]float64{0, 1}
	}
	const z = 1.959964
	total := float64(n)
	p := min(1, float64(errs)/total)
	middle := (p + z*z/(2*total)) / (1 + z*z/total)
	half := z / (1 + z*z/total) * math.Sqrt(p*(1-p)/total+z*z/(4*total*total))
	return [2]float64{max(0, middle-half), max(min(1, middle+half), float64(errs)/total)}
}
