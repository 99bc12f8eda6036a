package measure

import (
	"math"
	"math/rand/v2"
	"slices"
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
	d := Distribution{N: len(s), Min: s[0], Max: s[len(s)-1], P50: quantile(s, .5), P95: quantile(s, .95), P99: quantile(s, .99)}
	for _, x := range s {
		d.Mean += x / float64(len(s))
	}
	d.CI50, d.CI95, d.CI99 = quantileRange(s, .5), quantileRange(s, .95), quantileRange(s, .99)
	return d
}

// quantile lies between neighbours in proportion.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
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
	Errors, Words int
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
	return [2]float64{quantile(rates, .025), quantile(rates, .975)}
}

// DifferenceRange is the same for a's rate less b's, of which the same clusters are drawn
// each time. They must be of the same recordings in the same order.
func DifferenceRange(a, b []Cluster) [2]float64 {
	if len(a) < 2 || len(a) != len(b) {
		return [2]float64{-1, 1}
	}
	r := rand.New(rand.NewPCG(1, 2))
	rates := make([]float64, draws)
	for i := range rates {
		var x, y Cluster
		for range a {
			n := r.IntN(len(a))
			x.Errors, x.Words = x.Errors+a[n].Errors, x.Words+a[n].Words
			y.Errors, y.Words = y.Errors+b[n].Errors, y.Words+b[n].Words
		}
		rates[i] = float64(x.Errors)/float64(max(1, x.Words)) - float64(y.Errors)/float64(max(1, y.Words))
	}
	slices.Sort(rates)
	return [2]float64{quantile(rates, .025), quantile(rates, .975)}
}
