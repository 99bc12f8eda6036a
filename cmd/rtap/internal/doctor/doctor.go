// Package doctor is `rtap doctor`: it looks at everything that RTAP needs of a machine and
// says in plain words what is wrong and what to do. One file holds one theme: facts that are
// gathered here, and a judgement of them that needs no machine.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/service"
)

// Site is what is examined.
type Site struct {
	Config  *config.Config
	Flags   service.Flags
	Environ []string
	Version string
	// Programs is the folder of RTAP's programs, DataDir that of `rtap up`, BackupDir that
	// of `rtap backup`.
	Programs, DataDir, BackupDir string
	Host                         machine.Host
}

// variable returns an environment variable; "" where it is not set.
func (s *Site) variable(name string) string {
	for _, kv := range slices.Backward(s.Environ) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// Run is `rtap doctor [--json] [--data-dir DIR] [--config FILE] [--set key=value]…`: exit
// code 1 when something fails.
func Run(ctx context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap doctor", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	s := &Site{Environ: env.Environ, Version: env.Version, Host: machine.This}
	s.Flags.Register(fs)
	asJSON := fs.Bool("json", false, "print an array of {name, status, detail, advice}")
	fs.StringVar(&s.DataDir, "data-dir", "data", "`folder` of the data of rtap up")
	fs.StringVar(&s.BackupDir, "backups", "backups", "`folder` of the backups, looked at where there is one")
	if err := arguments.None(fs, env.Args); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the programs: %w", err)
	}
	s.Programs = filepath.Dir(exe)

	all := []Finding{}
	show := func(f Finding) {
		all = append(all, f)
		if !*asJSON {
			f.Print(env.Stdout)
		}
	}
	Examine(ctx, s.Checks(), show)
	if *asJSON {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return verdict(ctx, all, env.Stdout, !*asJSON)
}

// Checks lists all checks in the order in which their findings are read best. The first one
// fills in the configuration that the others go by.
func (s *Site) Checks() []Check {
	s.Config = config.Default()
	return []Check{
		{"configuration", 0, s.configuration},
		{"programs", 10 * time.Second, s.programs},
		{"native parts", 20 * time.Second, s.nativeParts},
		{"model", time.Minute, s.models}, // the sum of a large model takes its time
		{"cpu", 0, s.cpu},
		{"memory", 0, s.memory},
		{"audio", 10 * time.Second, s.audio},
		{"ports", 0, s.ports},
		{"nats", 10 * time.Second, s.nats},
		{"leases", 15 * time.Second, s.leases},
		{"disk", 10 * time.Second, s.disk},
		{"logs", 0, s.logs},
		{"backups", time.Minute, s.backups}, // the sum of a large one takes its time
		{"clock", 0, s.clock},
		{"open files", 0, s.openFiles},
	}
}

// verdict sums up and chooses the exit code.
func verdict(ctx context.Context, all []Finding, w io.Writer, show bool) error {
	count := map[Status]int{}
	for _, f := range all {
		count[f.Status]++
	}
	if show {
		fmt.Fprintf(w, "\n%d OK, %d INFO, %d WARN, %d FAIL\n", count[OK], count[Info], count[Warn], count[Fail])
	}
	switch {
	case ctx.Err() != nil:
		return &lifecycle.ExitError{Code: lifecycle.ExitFailure, Err: errors.New("the examination was interrupted")}
	case count[Fail] > 0:
		return &lifecycle.ExitError{Code: lifecycle.ExitFailure, Err: fmt.Errorf("%d of %d findings are failures", count[Fail], len(all))}
	}
	return nil
}
