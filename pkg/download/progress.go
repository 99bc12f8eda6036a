package download

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress rewrites one line on a terminal and prints one every few seconds elsewhere.
type progress struct {
	w           io.Writer
	name        string
	done, total int64
	last        time.Time
	alive       func()
}

func (p *progress) Write(b []byte) (int, error) {
	p.alive()
	p.done += int64(len(b))
	end, every := "\n", 5*time.Second
	if f, ok := p.w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			end, every = "\r", 200*time.Millisecond
		}
	}
	if time.Since(p.last) >= every {
		p.last = time.Now()
		p.show(end)
	}
	return len(b), nil
}

func (p *progress) show(end string) {
	fmt.Fprintf(p.w, "%-28s %4d of %4d MB %3d %%%s", p.name, p.done>>20, p.total>>20, 100*p.done/max(1, p.total), end)
}
