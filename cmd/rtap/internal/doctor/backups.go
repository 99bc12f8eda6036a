package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/backup"
)

// Backups are the facts about the folder of `rtap backup`.
type Backups struct {
	Dir    string
	Err    error  // why it cannot be read
	Newest string // file of the newest backup; "" where there is none
	Made   time.Time
	Whole  error    // what is wrong with the newest one
	Left   []string // files of backups that did not come to their end
}

func (s *Site) backups(context.Context) []Finding {
	b := Backups{Dir: s.BackupDir}
	all, left, err := backup.List(s.BackupDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nobody keeps any here
	}
	b.Err, b.Left = err, left
	if len(all) > 0 {
		b.Newest = all[0]
		m, err := backup.Check(all[0])
		if b.Whole = err; err == nil {
			b.Made = m.Made
		}
	}
	return b.Findings()
}

// Findings judges the facts.
func (b Backups) Findings() []Finding {
	const name = "backups"
	if b.Err != nil {
		return []Finding{{name, Fail, b.Err.Error(), "give this user the right to read the folder, or name another with --backups"}}
	}
	var out []Finding
	switch {
	case b.Newest == "":
		out = append(out, Finding{name, Warn, "none in " + b.Dir, "take one: `rtap backup " + b.Dir + "`"})
	case b.Whole != nil:
		detail, _, _ := strings.Cut(b.Whole.Error(), ": take another")
		out = append(out, Finding{name, Fail, detail, "take another: `rtap backup " + b.Dir + "`; the one before it is still there"})
	default:
		out = append(out, Finding{name, OK, fmt.Sprintf("the newest is whole, made %s: %s", b.Made.Format(time.DateTime+" MST"), b.Newest), ""})
	}
	if len(b.Left) > 0 {
		out = append(out, Finding{name, Warn, "interrupted before its end: " + strings.Join(b.Left, ", "), "remove what no `rtap backup` is writing right now"})
	}
	return out
}
