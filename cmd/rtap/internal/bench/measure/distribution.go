package measure

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/rtap/rtap/pkg/bench"
)

// Distribution sums up many figures of one kind. Ranges hold the value with 95 %
// certainty, if the figures are independent of one another.
type Distribution struct {
	N    int        `json:"n"`
	Mean float64    `json:"mean"`
	P50  float64    `json:"p50"`
	P95  float64    `json:"p95"`
	P99  float64    `json:"p99"`
	Max  float64    `json:"max"`
	Min  float64    `json:"min"`
	CI50 [2]float64 `json:"p50_ci"`
	CI95 [2]float64 `json:"p95_ci"`
	CI99 [2]float64 `json:"p99_ci"`
}

// Distribute sums up figures.
func Distribute(figures []float64) Distribution {
	if len(figures) == 0 {
		return Distribution{}
	}
	s := slices.Sorted(slices.Values(figures))
	d := Distribution{N: len(s), Min: s[0], Max: s[len(s)-1], P50: bench.Quantile(s, .5), P95: bench.Quantile(s, .95), P99: bench.Quantile(s, .99)}
	for _, x := range s {
		d.Mean += x / float64(len(s))
	}
	d.CI50, d.CI95, d.CI99 = quantileRange(s, .5), quantileRange(s, .95), quantileRange(s, .99)
	return d
}

// quantileRange is the range between those order statistics that a binomial count of
// figures below the quantile leaves possible.
func quantileRange(sorted []float64, p float64) [2]float64 {
	n := float64(len(sorted))
	half := 1.96 * math.Sqrt(n*p*(1-p))
	low := int(math.Floor(n*p - half))
	high := int(math.Ceil(n*p + half))
	return [2]float64{sorted[min(len(sorted)-1, max(0, low))], sorted[min(len(sorted)-1, max(0, high))]}
}

// Cluster is errors among words that are not independent: a recording, however often it
// was played.
type Cluster struct {
	Errors int `json:"errors"`
	Words  int `json:"words"`
}

const draws = 2000

// RateRange is where errors per word lie with 95 % certainty: clusters are drawn again and
// again with replacement. With fewer than two there is no telling, and it is nothing to all.
func RateRange(clusters []Cluster) [2]float64 {
	if len(clusters) < 2 {
		return [2]float64{0, 1}
	}
	r := rand.New(rand.NewPCG(1, 1))
	rates := make([]float64, draws)
	for i := range rates {
		var sum Cluster
		for range clusters {
			c := clusters[r.IntN(len(clusters))]
			sum.Errors, sum.Words = sum.Errors+c.Errors, sum.Words+c.Words
		}
		rates[i] = float64(sum.Errors) / float64(max(1, sum.Words))
	}
	slices.Sort(rates)
	return [2]float64{bench.Quantile(rates, .025), bench.Quantile(rates, .975)}
}

// Difference is how the word error rate of one run differs from another's, on the
// recordings that both have heard, each with the weight of its words, however often it was
// played.
type Difference struct {
	Rate  float64 `json:"rate"`
	Other float64 `json:"other"`
	// Range holds Rate less Other with 95 % certainty.
	Range [2]float64 `json:"difference_ci"`
}

// Differ compares a with b.
func Differ(a, b Accuracy) Difference {
	type pair struct{ a, b, words float64 }
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(a.Clips)) {
		x, y := a.Clips[name], b.Clips[name]
		if x.Words > 0 && y.Words > 0 {
			pairs = append(pairs, pair{float64(x.Errors) / float64(x.Words), float64(y.Errors) / float64(y.Words), float64(a.Once[name])})
		}
	}
	rates := func(of func(i int) pair) (x, y float64) {
		var words float64
		for i := range pairs {
			p := of(i)
			x, y, words = x+p.a*p.words, y+p.b*p.words, words+p.words
		}
		return x / max(1, words), y / max(1, words)
	}
	d := Difference{Range: [2]float64{-1, 1}}
	d.Rate, d.Other = rates(func(i int) pair { return pairs[i] })
	if len(pairs) < 2 {
		return d
	}
	r := rand.New(rand.NewPCG(1, 2))
	drawn := make([]float64, draws)
	for i := range drawn {
		x, y := rates(func(int) pair { return pairs[r.IntN(len(pairs))] })
		drawn[i] = x - y
	}
	slices.Sort(drawn)
	d.Range = [2]float64{bench.Quantile(drawn, .025), bench.Quantile(drawn, .975)}
	return d
}
