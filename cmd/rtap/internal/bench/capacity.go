package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// capacity computes what streams need from what --json of an earlier bench wrote.
func capacity(_ context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap bench capacity", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	streams := fs.Int("streams", 16, "how many there shall be")
	talk := fs.Float64("talk", 1, "share of the time in which somebody speaks in a stream, 0 to 1")
	keep := fs.Duration("keep", 10*time.Minute, "streams.audio.max_age")
	asJSON := fs.Bool("json", false, "as JSON")
	files, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	if len(files) < 1 || len(files) > 2 || *streams < 1 || *talk < 0 || *talk > 1 || *keep < 0 {
		return lifecycle.Usage(fmt.Errorf("rtap bench capacity: want a file that `rtap bench --json FILE` wrote, or two of different numbers of streams, --streams from 1, --talk 0 to 1; got %v", files))
	}
	r, err := readReport(files[0])
	if err != nil {
		return lifecycle.Usage(err)
	}
	var second *report.Report
	if len(files) == 2 {
		if second, err = readReport(files[1]); err != nil {
			return lifecycle.Usage(err)
		}
	}
	need, err := r.Capacity(*streams, *talk, *keep, second)
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("%s: %w", strings.Join(files, ", "), err))
	}
	if *asJSON {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", " ")
		return enc.Encode(need)
	}
	return need.Text(env.Stdout, r)
}
