package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/subtitle"
)

// writer puts the log's entries into one kind of file.
type writer interface {
	begin() error
	entry(m feed.Message, e wire.Entry) error
	end() error
}

// kinds are the files that a transcript can be had as.
var kinds = map[string]struct {
	contentType string
	make        func(w *bufio.Writer, logID, stream string) writer
}{
	"txt": {"text/plain; charset=utf-8", func(w *bufio.Writer, _, _ string) writer {
		return &utterances{each: func(u utterance) error { return plain(w, u) }}
	}},
	"srt": {"application/x-subrip; charset=utf-8", func(w *bufio.Writer, _, _ string) writer { return cues(w, subtitle.SubRip) }},
	"vtt": {"text/vtt; charset=utf-8", func(w *bufio.Writer, _, _ string) writer { return cues(w, subtitle.WebVTT) }},
	"json": {"application/json", func(w *bufio.Writer, logID, stream string) writer {
		return &entries{w: w, logID: logID, stream: stream}
	}},
}

// export answers with a stream's transcript as a file, piece by piece.
func (a *API) export(r *http.Request, w http.ResponseWriter) error {
	name := r.PathValue("file")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return refuse(http.StatusNotFound, "%s: want a stream and an ending: .txt, .srt, .vtt or .json", name)
	}
	stream := name[:dot]
	kind, ok := kinds[name[dot+1:]]
	if !ok {
		return refuse(http.StatusNotFound, "%s: want an ending .txt, .srt, .vtt or .json", name)
	}
	p := query(r, "from_seq", "since", "log_id")
	if err := bus.ValidateStreamID(stream); err != nil {
		p.bad("%s", err)
	}
	rng := feed.Range{Stream: stream, FromSeq: uint32(p.number("from_seq", 0, math.MaxUint32, 0)), Since: p.moment("since", time.Now())}
	if p.err != nil {
		return p.err
	}
	id, err := a.stored(r.Context(), stream, p.values.Get("log_id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind.contentType)
	w.Header().Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", name))
	client := &patient{ResponseWriter: w, timeout: a.rt.Config.Egress.WebSocket.WriteTimeout}
	out := bufio.NewWriterSize(client, 32<<10)
	err = a.write(r.Context(), rng, kind.make(out, id, stream))
	if err == nil {
		err = out.Flush()
	}
	if err == nil || !client.began {
		return err
	}
	if r.Context().Err() == nil {
		a.rt.Log.Warn("an export was broken off", "stream_id", stream, "error", err)
	}
	// The status is out; a connection that ends early tells the client that the file is not whole.
	panic(http.ErrAbortHandler)
}

// stored gives the log's id if it has entries of the stream.
func (a *API) stored(ctx context.Context, stream, logID string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	id, err := a.log(ctx, logID)
	if err != nil {
		return "", err
	}
	last, _, err := a.rt.Bus.LastFinal(ctx, stream)
	if err == nil && last == nil {
		err = refuse(http.StatusNotFound, "there is no transcript of stream %s", stream)
	}
	return id, err
}

func (a *API) write(ctx context.Context, rng feed.Range, to writer) error {
	if err := to.begin(); err != nil {
		return err
	}
	err := a.hub.Read(ctx, rng, func(m feed.Message) (bool, error) {
		e, err := wire.ParseEntry(m.Data)
		if err != nil {
			return false, err
		}
		return true, to.entry(m, e)
	})
	if err != nil {
		return err
	}
	return to.end()
}

// patient gives the client a while for each piece, and no limit for the whole.
type patient struct {
	http.ResponseWriter
	timeout time.Duration
	began   bool
}

func (p *patient) Write(b []byte) (int, error) {
	p.began = true
	// Not every writer has deadlines; a recorder of a test has none.
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.timeout))
	return p.ResponseWriter.Write(b)
}

// entries is the JSON form: every entry as it is in the log.
type entries struct {
	w             *bufio.Writer
	logID, stream string
	n             int
}

func (e *entries) begin() error {
	head, err := json.Marshal(map[string]string{"log_id": e.logID, "stream_id": e.stream})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.w, "%s,\"entries\":[", head[:len(head)-1])
	return err
}

func (e *entries) entry(m feed.Message, _ wire.Entry) error {
	if e.n++; e.n > 1 {
		if err := e.w.WriteByte(','); err != nil {
			return err
		}
	}
	if err := e.w.WriteByte('\n'); err != nil {
		return err
	}
	_, err := e.w.Write(m.Data)
	return err
}

func (e *entries) end() error {
	_, err := e.w.WriteString("\n]}\n")
	return err
}

// plain is the text form: a line for each utterance.
func plain(w *bufio.Writer, u utterance) error {
	if u.text == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, u.text)
	return err
}

// cues is the form of both kinds of subtitles.
func cues(w *bufio.Writer, format subtitle.Format) writer {
	n, end := 0, time.Duration(0)
	return &utterances{
		header: func() error { _, err := w.WriteString(format.Header); return err },
		each: func(u utterance) error {
			for _, c := range subtitle.Cut(u.words) {
				if c.Start < end && c.End > end { // one was kept on the screen for longer than it was spoken
					c.Start = end
				}
				n, end = n+1, c.End
				if err := format.Write(w, n, c); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
