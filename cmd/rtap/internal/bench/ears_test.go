package bench

import (
	"context"
	"errors"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
)

// ear is a client that hears of ends of streams.
type ear struct {
	ends int
	err  error
}

func (e *ear) Messages() []rig.Message { return nil }
func (e *ear) Ended() int              { return e.ends }
func (e *ear) Err() error              { return e.err }
func (e *ear) Close()                  {}

func TestUntilEnded(t *testing.T) {
	broken, enough := errors.New("broken"), errors.New("enough")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx       context.Context
		meanwhile func(one, two *ear) error
		want      error
	}{
		"all end":        {t.Context(), func(one, two *ear) error { one.ends, two.ends = 1, 1; return nil }, nil},
		"a client fails": {t.Context(), func(one, _ *ear) error { one.err = broken; return nil }, broken},
		"one goes on for too long": {t.Context(), func(one, _ *ear) error {
			if one.ends > 0 {
				return enough
			}
			one.ends = 1
			return nil
		}, enough},
		"interrupted": {gone, func(one, two *ear) error { return nil }, context.Canceled},
	} {
		one, two := &ear{}, &ear{}
		err := ears{one, two}.untilEnded(tt.ctx, &rig.Pipeline{}, 2, func() error { return tt.meanwhile(one, two) })
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}
