package moonshine

import "math"

// best returns the most likely token and its probability, which is right to about one part
// in three hundred. It looks at every logit twice and calls no function: the exact
// exponential of 32 768 logits would take a tenth of a pass.
func best(logits []float32) (id int64, p float64) {
	at, top := 0, logits[0]
	for i, x := range logits {
		if x > top {
			at, top = i, x
		}
	}
	// Four sums, so that no addition waits for the one before.
	var sums [4]float32
	n := len(logits) / 4 * 4
	for i := 0; i < n; i += 4 {
		four := logits[i : i+4 : i+4]
		sums[0] += exp(four[0] - top)
		sums[1] += exp(four[1] - top)
		sums[2] += exp(four[2] - top)
		sums[3] += exp(four[3] - top)
	}
	for _, x := range logits[n:] {
		sums[0] += exp(x - top)
	}
	return int64(at), 1 / float64(max(1, sums[0]+sums[1]+sums[2]+sums[3]))
}

// mass returns the probability of some tokens together, given that of the most likely one.
func mass(logits []float32, ids []int64, best int64, p float64) float64 {
	var sum float64
	for _, id := range ids {
		sum += p * math.Exp(float64(logits[id]-logits[best]))
	}
	return min(1, sum)
}

// exp returns e^x for x up to 0: the whole part of the power of two goes into the exponent's
// bits, and a parabola that is exact at both ends stands for the rest.
func exp(x float32) float32 {
	const log2e, bias, mantissa = 1.4426950408889634, 127, 1 << 23
	y := x*log2e + bias
	if y < 0 {
		return 0
	}
	whole := int32(y)
	f := y - float32(whole)
	return math.Float32frombits(uint32(whole)*mantissa) * (1 + f*(0.6564954+f*0.3435046))
}
