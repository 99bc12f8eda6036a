// Package failover is `rtap failover`: it makes another gateway the active one.
package failover

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
)

// lookEvery is how often it is looked who is active now.
const lookEvery = 2 * time.Millisecond

// outcome is what is printed with --json.
type outcome struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	MS   float64 `json:"ms"`
}

// Run is `rtap failover`.
func Run(ctx context.Context, env lifecycle.Env) error {
	var o running.Options
	fs := flag.NewFlagSet("rtap failover", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.Register(fs)
	wait := fs.Duration("wait", 5*time.Second, "how long another gateway has to take over")
	asJSON := fs.Bool("json", false, "print the outcome as JSON")
	if err := arguments.None(fs, env.Args); err != nil {
		return err
	}
	cfg, err := o.Load(env.Environ)
	if err != nil {
		return err
	}
	p := running.Find(ctx, cfg.NATS, "failover")
	defer p.Close()
	if p.Problem != nil {
		return p.Problem
	}
	leases, err := bus.LeasesOver(p.Conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	out, err := over(ctx, leases, p.Targets)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(env.Stdout).Encode(out)
	}
	fmt.Fprintf(env.Stdout, "active gateway: %s, before: %s; handed over in %.0f ms\n", out.To, out.From, out.MS)
	return nil
}

// over asks the active gateway to stand back and waits for its successor.
func over(ctx context.Context, leases bus.Leases, targets []control.Target) (outcome, error) {
	held, err := leases.Holder(ctx, lease.Gateway)
	if errors.Is(err, lease.ErrFree) {
		return outcome{}, errors.New("no gateway is active: start one; `rtap top --once` shows what runs")
	}
	if err != nil {
		return outcome{}, err
	}
	var active *control.Target
	var ready bool
	var others []string
	for _, t := range targets {
		switch {
		case t.GetService() != "egress":
		case t.GetInstance() == held.GetHolder():
			active = &t
		default:
			ready = ready || t.GetReady() && t.GetState() == obs.StateStandby
			others = append(others, t.GetInstance()+" "+t.GetState())
		}
	}
	if active == nil {
		return outcome{}, fmt.Errorf("the active gateway, %s, does not answer; its standby takes over by itself when it is dead", held.GetHolder())
	}
	if !ready {
		there := "none"
		if len(others) > 0 {
			there = strings.Join(others, ", ")
		}
		return outcome{}, fmt.Errorf("no standby gateway is ready (others that answer: %s): start one, `rtap up --standby` or a second rtap-egress", there)
	}
	began := time.Now()
	if _, err := active.Ask(ctx, control.Failover, nil); err != nil {
		return outcome{}, fmt.Errorf("asking %s to give the active role up: %w", held.GetHolder(), err)
	}
	for {
		now, err := leases.Holder(ctx, lease.Gateway)
		switch {
		case err == nil && now.GetHolder() != held.GetHolder():
			return outcome{held.GetHolder(), now.GetHolder(), float64(time.Since(began).Microseconds()) / 1000}, nil
		case err == nil && !now.GetTakenAt().AsTime().Equal(held.GetTakenAt().AsTime()):
			return outcome{}, fmt.Errorf("no other gateway took over, %s is active again", now.GetHolder())
		}
		select {
		case <-ctx.Done():
			return outcome{}, fmt.Errorf("no other gateway has taken over yet: %w", ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}
