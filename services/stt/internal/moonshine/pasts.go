package moonshine

import (
	"slices"
	"sync"
)

// maxPasts is how many streams' drafts are kept, at most about twelve megabytes each; the one
// that was used longest ago goes first.
const maxPasts = 32

// pasts are what the encoder made of the last draft of each stream, for all copies of the
// model in the process: whichever decodes the stream's next segment goes on from there.
type pasts struct {
	mu      sync.Mutex
	engines int
	streams map[string]*encoded
	order   []string // of use, the latest last
}

var shared = &pasts{streams: map[string]*encoded{}}

func openPasts() *pasts {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.engines++
	return shared
}

// close forgets everything with the last engine.
func (p *pasts) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engines--; p.engines > 0 {
		return
	}
	for stream := range p.streams {
		p.drop(stream)
	}
}

// of returns a stream's past, for the caller to release; nil when there is none.
func (p *pasts) of(stream string) *encoded {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.streams[stream]
	if x != nil {
		x.users++
		p.used(stream)
	}
	return x
}

// keep makes x the stream's past.
func (p *pasts) keep(stream string, x *encoded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams[stream] != nil {
		p.drop(stream)
	}
	x.users++
	p.streams[stream] = x
	p.used(stream)
	if len(p.order) > maxPasts {
		p.drop(p.order[0])
	}
}

// release ends one use of x; with the last one it is gone.
func (p *pasts) release(x *encoded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(x)
}

func (p *pasts) leave(x *encoded) {
	if x.users--; x.users > 0 {
		return
	}
	if x.past != nil {
		p.leave(x.past)
	}
	x.destroy()
}

func (p *pasts) drop(stream string) {
	p.leave(p.streams[stream])
	delete(p.streams, stream)
	p.order = slices.DeleteFunc(p.order, func(s string) bool { return s == stream })
}

func (p *pasts) used(stream string) {
	p.order = append(slices.DeleteFunc(p.order, func(s string) bool { return s == stream }), stream)
}
