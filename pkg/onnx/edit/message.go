package edit

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is one protobuf message, cut into its fields and not further, so that what this
// package does not know stays byte for byte what and where it was.
type message []field

// field is one field: all its bytes, tag included, and of a length-delimited one the content.
type field struct {
	number  protowire.Number
	raw     []byte
	content []byte
}

func parse(b []byte) (message, error) {
	var m message
	for len(b) > 0 {
		number, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return nil, fmt.Errorf("reading a field's tag: %w", protowire.ParseError(tag))
		}
		n := protowire.ConsumeFieldValue(number, kind, b[tag:])
		if n < 0 {
			return nil, fmt.Errorf("reading field %d: %w", number, protowire.ParseError(n))
		}
		f := field{number: number, raw: b[:tag+n]}
		if kind == protowire.BytesType {
			f.content, _ = protowire.ConsumeBytes(b[tag:])
		}
		m, b = append(m, f), b[tag+n:]
	}
	return m, nil
}

func (m message) encode() []byte {
	size := 0
	for _, f := range m {
		size += len(f.raw)
	}
	out := make([]byte, 0, size)
	for _, f := range m {
		out = append(out, f.raw...)
	}
	return out
}

// text returns the content of the first field of that number; "" without one.
func (m message) text(number protowire.Number) string {
	for _, f := range m {
		if f.number == number {
			return string(f.content)
		}
	}
	return ""
}

// texts returns the contents of all fields of that number.
func (m message) texts(number protowire.Number) []string {
	var out []string
	for _, f := range m {
		if f.number == number {
			out = append(out, string(f.content))
		}
	}
	return out
}

// integers returns a repeated integer, packed or not.
func (m message) integers(number protowire.Number) ([]int64, error) {
	var out []int64
	for _, f := range m {
		if f.number != number {
			continue
		}
		b := f.content
		if b == nil {
			_, _, tag := protowire.ConsumeTag(f.raw)
			b = f.raw[tag:]
		}
		for len(b) > 0 {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return nil, fmt.Errorf("reading field %d: %w", number, protowire.ParseError(n))
			}
			out, b = append(out, int64(v)), b[n:]
		}
	}
	return out, nil
}

// bytesField makes a length-delimited field: a string, bytes or a message.
func bytesField[T string | []byte](number protowire.Number, content T) field {
	raw := protowire.AppendTag(nil, number, protowire.BytesType)
	raw = protowire.AppendBytes(raw, []byte(content))
	return field{number: number, raw: raw, content: raw[len(raw)-len(content):]}
}

// integerField makes an integer or an enum.
func integerField(number protowire.Number, v int64) field {
	return field{number: number, raw: protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))}
}
