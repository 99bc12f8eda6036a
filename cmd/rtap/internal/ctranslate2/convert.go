// Package ctranslate2 turns a Whisper model of CTranslate2 (the folder that faster-whisper
// loads) into whisper.cpp's file, so that a user's fine-tuned model works in RTAP.
//
// Sources of the two formats: CTranslate2's src/models/model.cc and python/ctranslate2/
// specs/whisper_spec.py, and whisper.cpp's models/convert-h5-to-ggml.py.
package ctranslate2

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/rtap/rtap/pkg/ggml"
)

// ErrModel is wrapped by errors about a folder that is no usable Whisper model.
var ErrModel = errors.New("not a usable CTranslate2 Whisper model")

// Convert writes the model in dir to the file dest, with weights of 16 bits.
func Convert(ctx context.Context, dir, dest string) error {
	w, err := open(filepath.Join(dir, "model.bin"))
	if err != nil {
		return err
	}
	defer w.close()
	h, err := w.header()
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	vocabulary, err := readVocabulary(dir, int(h.Vocabulary))
	if err != nil {
		return err
	}
	out, err := ggml.Create(dest, h, ggml.MelFilters(int(h.Mels)), vocabulary)
	if err != nil {
		return err
	}
	c := &conversion{ctx: ctx, from: w, to: out, state: int(h.TextState)}
	c.model(h)
	if c.err != nil {
		out.Abort()
		return fmt.Errorf("%s: %w", dir, c.err)
	}
	return out.Close()
}

// header finds the model's measures in the shapes of its variables.
func (w *weights) header() (ggml.Header, error) {
	var h ggml.Header
	shape := func(name string, rank int) []int {
		if v := w.vars[name]; len(v.dims) == rank {
			return v.dims
		}
		return make([]int, rank)
	}
	embedding := shape("decoder/embeddings/weight", 2)
	audio, text := shape("encoder/position_encodings/encodings", 2), shape("decoder/position_encodings/encodings", 2)
	conv := shape("encoder/conv1/weight", 3)
	layers := func(side string) (n int) {
		for ; w.vars[fmt.Sprintf("%s/layer_%d/ffn/layer_norm/gamma", side, n)].dims != nil; n++ {
		}
		return n
	}
	h = ggml.Header{
		Vocabulary: int32(embedding[0]), AudioCtx: int32(audio[0]), AudioState: int32(audio[1]), AudioLayers: int32(layers("encoder")),
		TextCtx: int32(text[0]), TextState: int32(embedding[1]), TextLayers: int32(layers("decoder")), Mels: int32(conv[1]), FileType: ggml.FileTypeF16,
	}
	// Every Whisper has heads of 64; models converted long ago do not say.
	h.AudioHeads = int32(w.scalar("encoder/num_heads", audio[1]/64))
	h.TextHeads = int32(w.scalar("decoder/num_heads", embedding[1]/64))
	if err := h.Validate(); err != nil {
		return h, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return h, nil
}

type conversion struct {
	ctx   context.Context //nolint:containedctx // lives for one call
	from  *weights
	to    *ggml.Writer
	state int
	err   error
}

// copy writes the rows of a variable that begin at row as a tensor of the given shape,
// outermost side first; the variable has as many more rows as total says.
func (c *conversion) copy(from, to string, total, row int, half bool, dims ...int) {
	if c.err != nil {
		return
	}
	if c.err = c.ctx.Err(); c.err != nil {
		return
	}
	whole := append([]int{total}, dims[1:]...)
	values, err := c.from.numbers(from, whole...)
	if err != nil {
		c.err = err
		return
	}
	width := len(values) / total
	sides := make([]int32, len(dims))
	for i, side := range dims {
		sides[len(dims)-1-i] = int32(side)
	}
	c.to.Tensor(to, sides, values[row*width:(row+dims[0])*width], half)
}

func (c *conversion) all(from, to string, half bool, dims ...int) {
	c.copy(from, to, dims[0], 0, half, dims...)
}

func (c *conversion) norm(from, to string) {
	c.all(from+"/gamma", to+".weight", false, c.state)
	c.all(from+"/beta", to+".bias", false, c.state)
}

func (c *conversion) linear(from, to string, out, in int) {
	c.all(from+"/weight", to+".weight", true, out, in)
	c.all(from+"/bias", to+".bias", false, out)
}

// part writes one of several matrices that stand on each other. Whisper's keys have no
// bias; CTranslate2 stores zeros there.
func (c *conversion) part(from, to string, n, of int, bias bool) {
	s := c.state
	c.copy(from+"/weight", to+".weight", of*s, n*s, true, s, s)
	if bias {
		c.copy(from+"/bias", to+".bias", of*s, n*s, false, s)
	}
}

func (c *conversion) feedForward(from, to string) {
	c.norm(from+"/ffn/layer_norm", to+".mlp_ln")
	c.linear(from+"/ffn/linear_0", to+".mlp.0", 4*c.state, c.state)
	c.linear(from+"/ffn/linear_1", to+".mlp.2", c.state, 4*c.state)
}

func (c *conversion) selfAttention(from, to string) {
	from += "/self_attention"
	c.norm(from+"/layer_norm", to+".attn_ln")
	c.part(from+"/linear_0", to+".attn.query", 0, 3, true)
	c.part(from+"/linear_0", to+".attn.key", 1, 3, false)
	c.part(from+"/linear_0", to+".attn.value", 2, 3, true)
	c.linear(from+"/linear_1", to+".attn.out", c.state, c.state)
}

func (c *conversion) crossAttention(from, to string) {
	from += "/attention"
	c.norm(from+"/layer_norm", to+".cross_attn_ln")
	c.linear(from+"/linear_0", to+".cross_attn.query", c.state, c.state)
	c.part(from+"/linear_1", to+".cross_attn.key", 0, 2, false)
	c.part(from+"/linear_1", to+".cross_attn.value", 1, 2, true)
	c.linear(from+"/linear_2", to+".cross_attn.out", c.state, c.state)
}

func (c *conversion) model(h ggml.Header) {
	s := c.state
	c.all("encoder/position_encodings/encodings", "encoder.positional_embedding", false, int(h.AudioCtx), s)
	c.all("encoder/conv1/weight", "encoder.conv1.weight", true, s, int(h.Mels), 3)
	c.column("encoder/conv1/bias", "encoder.conv1.bias")
	c.all("encoder/conv2/weight", "encoder.conv2.weight", true, s, s, 3)
	c.column("encoder/conv2/bias", "encoder.conv2.bias")
	c.norm("encoder/layer_norm", "encoder.ln_post")
	c.all("decoder/position_encodings/encodings", "decoder.positional_embedding", false, int(h.TextCtx), s)
	c.all("decoder/embeddings/weight", "decoder.token_embedding.weight", true, int(h.Vocabulary), s)
	c.norm("decoder/layer_norm", "decoder.ln")
	for i := range h.AudioLayers {
		from, to := fmt.Sprintf("encoder/layer_%d", i), fmt.Sprintf("encoder.blocks.%d", i)
		c.selfAttention(from, to)
		c.feedForward(from, to)
	}
	for i := range h.TextLayers {
		from, to := fmt.Sprintf("decoder/layer_%d", i), fmt.Sprintf("decoder.blocks.%d", i)
		c.selfAttention(from, to)
		c.crossAttention(from, to)
		c.feedForward(from, to)
	}
}

// column writes a bias of a convolution, which whisper.cpp wants as a column.
func (c *conversion) column(from, to string) {
	if c.err != nil {
		return
	}
	values, err := c.from.numbers(from, c.state)
	if err != nil {
		c.err = err
		return
	}
	c.to.Tensor(to, []int32{1, int32(c.state)}, values, false)
}
