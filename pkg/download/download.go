// Package download brings one file of known size over HTTP. An attempt that is cut off
// leaves what it has in a .part file, where the next one goes on.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// ErrRefused is wrapped by errors about an answer that another attempt would not change.
var ErrRefused = errors.New("the server refuses")

var errStalled = errors.New("no data came")

// Request says what to bring.
type Request struct {
	URL  string
	Path string // where the whole file goes; Path + ".part" holds an unfinished one
	Name string // for messages
	Size int64  // bytes; more than that is not written

	Attempts int           // at least 1
	Backoff  time.Duration // before the second attempt; it doubles after each
	Stall    time.Duration // an attempt ends when nothing has come for so long

	Progress io.Writer
}

// File brings the file and renames it to its place. The content is not checked here.
func File(ctx context.Context, r Request) error {
	part := r.Path + ".part"
	wait := r.Backoff
	for n := 1; ; n++ {
		err := attempt(ctx, r, part)
		if err == nil {
			if err := os.Rename(part, r.Path); err != nil {
				return fmt.Errorf("putting %s in place: %w", r.Name, err)
			}
			return nil
		}
		if n >= r.Attempts || ctx.Err() != nil || errors.Is(err, ErrRefused) {
			if st, statErr := os.Stat(part); statErr == nil && st.Size() == 0 {
				_ = os.Remove(part) // nothing to go on from
			}
			return err
		}
		fmt.Fprintf(r.Progress, "%s: %v; going on in %s\n", r.Name, err, wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func attempt(ctx context.Context, r Request, part string) (err error) {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the download: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("opening the download: %w", err)
	}
	if at == r.Size {
		return nil
	}
	if at > r.Size {
		at = 0
	}

	// A connection that is open but silent ends the attempt: http.Client's own timeout
	// would bound the whole download instead.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(r.Stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, r.Stall)) })
	defer watchdog.Stop()
	defer func() {
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
			err = cause
		}
	}()

	body, at, err := open(ctx, r, at)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := f.Truncate(at); err != nil {
		return fmt.Errorf("writing the download: %w", err)
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("writing the download: %w", err)
	}
	p := &progress{w: r.Progress, name: r.Name, done: at, total: r.Size, alive: func() { watchdog.Reset(r.Stall) }}
	if _, err := io.Copy(f, io.TeeReader(io.LimitReader(body, r.Size-at), p)); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", p.done, r.Size, err)
	}
	if p.done < r.Size {
		return fmt.Errorf("after %d of %d bytes: %w", p.done, r.Size, io.ErrUnexpectedEOF)
	}
	p.show("\n")
	return nil
}

// open asks for what follows byte at, and says from which byte the answer begins.
func open(ctx context.Context, r Request, at int64) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("asking for %s: %w", r.Name, err)
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("asking for %s: %w", r.Name, err)
	}
	switch {
	case res.StatusCode == http.StatusOK:
		return res.Body, 0, nil
	case res.StatusCode == http.StatusPartialContent && begins(res) == at:
		return res.Body, at, nil
	}
	_ = res.Body.Close()
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return nil, 0, fmt.Errorf("%w: %s", ErrRefused, res.Status)
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		// What is here does not fit what the server has: the next attempt begins anew.
		if err := os.Truncate(r.Path+".part", 0); err != nil {
			return nil, 0, fmt.Errorf("emptying the download: %w", err)
		}
	}
	return nil, 0, fmt.Errorf("the server answers %s", res.Status)
}

// begins returns the first byte of a partial answer, or -1.
func begins(res *http.Response) int64 {
	var first int64
	if _, err := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-", &first); err != nil {
		return -1
	}
	return first
}
