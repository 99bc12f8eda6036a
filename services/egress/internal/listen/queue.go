package listen

import (
	"context"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// maxBuffered is what may wait in memory for the bus; then the client is not read.
	maxBuffered = 1 << 20
	// maxChunk keeps a chunk under the server's longest message.
	maxChunk = 256 << 10
	// maxSpread is how far apart in time parts of one chunk may have come: all of it is
	// stamped with the last.
	maxSpread = 100 * time.Millisecond
)

// piece is something the client sent.
type piece struct {
	data    []byte
	at      *rtapv1.Clock
	control rtapv1.IngestChunk_Control
}

// queue holds, bounded, what a client has sent until the uplink stores it.
type queue struct {
	mu     sync.Mutex
	pieces []piece
	bytes  int
	closed bool
	more   chan struct{}   // something is in it
	space  chan struct{}   // something has left it
	over   <-chan struct{} // closed when nothing will be taken any more
}

func newQueue(over <-chan struct{}) *queue {
	return &queue{more: make(chan struct{}, 1), space: make(chan struct{}, 1), over: over}
}

// put takes what the client sent, as soon as there is room for it.
func (q *queue) put(ctx context.Context, p piece) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil
		}
		if q.bytes == 0 || q.bytes+len(p.data) <= maxBuffered {
			q.append(p)
			q.mu.Unlock()
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.space:
		case <-q.over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// append is called with mu held.
func (q *queue) append(p piece) {
	for len(p.data) > maxChunk {
		q.pieces = append(q.pieces, piece{data: p.data[:maxChunk], at: p.at})
		q.bytes += maxChunk
		p.data = p.data[maxChunk:]
	}
	q.pieces = append(q.pieces, p)
	q.bytes += len(p.data)
	signal(q.more)
}

// close says that nothing more will come: what is there is stored, and the stream's end.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.append(piece{at: clock.Now(), control: rtapv1.IngestChunk_CONTROL_CLOSE_STREAM})
		q.closed = true
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take joins what came at about the same time, up to what asks for something.
func (q *queue) take() (piece, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pieces) == 0 {
		return piece{}, false
	}
	out, n := q.pieces[0], 1
	for n < len(q.pieces) && out.control == rtapv1.IngestChunk_CONTROL_UNSPECIFIED {
		next := q.pieces[n]
		spread, _ := clock.Between(q.pieces[0].at, next.at)
		if len(out.data)+len(next.data) > maxChunk || spread > maxSpread {
			break
		}
		out = piece{data: append(out.data[:len(out.data):len(out.data)], next.data...), at: next.at, control: next.control}
		n++
	}
	q.pieces = append([]piece(nil), q.pieces[n:]...)
	q.bytes -= len(out.data)
	signal(q.space)
	return out, true
}
