package moonshine

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	// window is the length over which loudness is judged: 20 ms.
	window = transcriber.SampleRateHz / 50
	// minPause is the least silence, in windows, that parts two words: stops within words
	// are shorter.
	minPause = 6
)

// run is speech without a pause, the samples [from, to).
type run struct{ from, to int }

// spread gives words their times. Each pause of the audio is taken to lie between two words,
// preferably after a mark; within a run of speech every word takes what it has of the
// letters, counting one more letter a word.
func spread(words []transcriber.Word, audio []float32) {
	runs := runsOf(audio)
	if len(words) == 0 || len(runs) == 0 {
		return
	}
	first := 0
	for i, n := range share(words, runs) {
		letters := 0
		for _, w := range words[first : first+n] {
			letters += length(w)
		}
		r, at := runs[i], 0
		for j := range words[first : first+n] {
			w := &words[first+j]
			w.Start = r.from + (r.to-r.from)*at/letters
			at += length(*w)
			w.End = r.from + (r.to-r.from)*at/letters
		}
		first += n
	}
}

func length(w transcriber.Word) int { return utf8.RuneCountInString(w.Text) + 1 }

// share returns how many of the words belong to each run: of all divisions the one in which
// the runs' lengths fit the words' best.
func share(words []transcriber.Word, runs []run) []int {
	letters, samples := 0, 0
	for _, w := range words {
		letters += length(w)
	}
	for _, r := range runs {
		samples += r.to - r.from
	}
	perLetter := float64(samples) / float64(letters)
	// cost[i][n] is that of the first n words in the first i runs, from[i][n] how many of
	// them are in the runs before the last.
	cost, from := make([][]float64, len(runs)+1), make([][]int, len(runs)+1)
	for i := range cost {
		cost[i], from[i] = make([]float64, len(words)+1), make([]int, len(words)+1)
		for n := range cost[i] {
			cost[i][n] = math.Inf(1)
		}
	}
	cost[0][0] = 0
	for i, r := range runs {
		pause := 0.0
		if i+1 < len(runs) {
			pause = float64(runs[i+1].from-r.to) / transcriber.SampleRateHz
		}
		for n := range len(words) + 1 {
			took := 0.0
			for m := n; m <= len(words); m++ {
				off := (took*perLetter - float64(r.to-r.from)) / transcriber.SampleRateHz
				c := cost[i][n] + off*off + unmarked(words, m, pause)
				if c < cost[i+1][m] {
					cost[i+1][m], from[i+1][m] = c, n
				}
				if m < len(words) {
					took += float64(length(words[m]))
				}
			}
		}
	}
	out := make([]int, len(runs))
	n := len(words)
	for i := len(runs); i > 0; i-- {
		out[i-1] = n - from[i][n]
		n = from[i][n]
	}
	return out
}

// unmarked is the cost of a pause, in seconds, before word n where the text has no mark: that
// of being a quarter of a second off, and more the longer the pause is, since between
// sentences people pause longer than between words.
func unmarked(words []transcriber.Word, n int, pause float64) float64 {
	if n == 0 || n == len(words) || strings.ContainsAny(words[n-1].Text[len(words[n-1].Text)-1:], ".,;:?!-") {
		return 0
	}
	return (1 + 16*pause) / 16
}

// runsOf divides audio at its pauses.
func runsOf(audio []float32) []run {
	var out []run
	last := -minPause
	for _, w := range voiced(audio) {
		if n := len(out); n == 0 || w-last > minPause {
			out = append(out, run{from: w * window})
		}
		out[len(out)-1].to = min(len(audio), (w+1)*window)
		last = w
	}
	return out
}

// voiced returns the windows of audio that are within 30 dB of the loudest, in order.
func voiced(audio []float32) []int {
	var energies []float64
	loudest := 0.0
	for i := 0; i < len(audio); i += window {
		var sum float64
		for _, x := range audio[i:min(len(audio), i+window)] {
			sum += float64(x) * float64(x)
		}
		energies = append(energies, sum)
		loudest = max(loudest, sum)
	}
	var out []int
	for i, e := range energies {
		if e > loudest/1000 {
			out = append(out, i)
		}
	}
	return out
}
