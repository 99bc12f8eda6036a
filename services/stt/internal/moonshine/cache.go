package moonshine

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

const (
	heads    = 8
	headSize = 36
	// maxPositions is the most tokens that one text has, a forced prefix included.
	maxPositions = 408
)

// cacheShape is that of one layer's keys or values.
func cacheShape(positions int) ort.Shape { return ort.NewShape(1, heads, int64(positions), headSize) }

// cache holds the keys or the values of one layer: of the tokens so far, which grow by one
// at each pass, or of the audio, which the first pass makes and [encoded] owns.
type cache struct {
	in, out int // places among the decoder's inputs and outputs
	audio   bool

	// Of tokens: a pass reads one buffer and writes the other, so the cache of n positions
	// is always in buffer n % 2, and each length needs its tensor only once.
	buffers [2][]float32
	tensors [maxPositions + 1]*ort.Tensor[float32]
}

// of returns the cache of so many tokens.
func (c *cache) of(positions int) (*ort.Tensor[float32], error) {
	if positions > maxPositions {
		return nil, fmt.Errorf("decoding: %d tokens, the caches hold %d", positions, maxPositions)
	}
	if t := c.tensors[positions]; t != nil {
		return t, nil
	}
	buffer := &c.buffers[positions%2]
	if *buffer == nil {
		*buffer = make([]float32, heads*maxPositions*headSize)
	}
	t, err := ort.NewTensor(cacheShape(positions), *buffer)
	if err != nil {
		return nil, fmt.Errorf("making decoder tensors: %w", err)
	}
	c.tensors[positions] = t
	return t, nil
}

// cut leaves the first positions of a cache of more.
func (c *cache) cut(from, to int) error {
	if _, err := c.of(to); err != nil {
		return err
	}
	for h := range heads {
		// Within one buffer the heads move towards its beginning, in order.
		copy(c.buffers[to%2][h*to*headSize:(h+1)*to*headSize], c.buffers[from%2][h*from*headSize:])
	}
	return nil
}

func (c *cache) close() {
	for _, t := range c.tensors {
		if t != nil {
			destroy(t)
		}
	}
}
