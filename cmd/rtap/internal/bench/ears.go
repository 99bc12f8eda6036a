package bench

import (
	"context"
	"errors"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
)

// sources of the pipeline: the recordings, or the door for those who send them.
func (p *played) sources(o liveOptions, paths []string) (out []string) {
	if o.via == viaListen {
		return []string{"listen"}
	}
	for i, path := range paths {
		out = append(out, "file:"+path+"?stream="+p.streams[i].Recording.Stream)
	}
	return out
}

// open connects who hears the pipeline, and in listen mode speaks to it, and finds when each
// recording's first sample was captured.
func (p *played) open(ctx context.Context, o liveOptions, pipe *rig.Pipeline, paths []string) (ears, error) {
	var e ears
	if o.via == viaFile {
		feed, err := rig.Follow(ctx, pipe, o.interims)
		if err != nil {
			return e, err
		}
		e = append(e, feed)
	}
	for i := range p.streams {
		s := &p.streams[i]
		if o.via == viaFile {
			var err error
			if s.Zero, err = pipe.Zero(ctx, s.Recording.Stream); err != nil {
				return e, err
			}
			continue
		}
		speaker, err := rig.Speak(ctx, pipe, s.Recording.Stream, paths[i], o.interims)
		if err != nil {
			return e, err
		}
		e = append(e, speaker)
		s.Zero = speaker.Zero
	}
	return e, nil
}

// ears are the clients that hear what comes.
type ears []interface {
	Messages() []rig.Message
	Ended() int
	Err() error
	Close()
}

func (e ears) messages() (out []rig.Message) {
	for _, f := range e {
		out = append(out, f.Messages()...)
	}
	return out
}

func (e ears) ended() (n int) {
	for _, f := range e {
		n += f.Ended()
	}
	return n
}

func (e ears) err() (err error) {
	for _, f := range e {
		err = errors.Join(err, f.Err())
	}
	return err
}

// untilEnded waits for so many streams to end, as long as the pipeline lives and nobody who hears it fails. meanwhile is
// called again and again until then; its error ends the wait.
func (e ears) untilEnded(ctx context.Context, pipe *rig.Pipeline, streams int, meanwhile func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for e.ended() < streams {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := errors.Join(pipe.Alive(), e.err()); err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
	}
	return nil
}

func (e ears) close() {
	for _, f := range e {
		f.Close()
	}
}
