package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Status says how grave a finding is.
type Status string

// OK needs nothing, Info is worth knowing, Warn may hurt, Fail keeps RTAP from its work.
const (
	OK   Status = "OK"
	Info Status = "INFO"
	Warn Status = "WARN"
	Fail Status = "FAIL"
)

// Finding is one line of the report. Advice says what to do; empty when there is nothing.
type Finding struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

// Print writes the finding as a line, and its advice as another one.
func (f Finding) Print(w io.Writer) {
	fmt.Fprintf(w, "%-4s  %-16s %s\n", f.Status, f.Name, f.Detail)
	if f.Advice != "" {
		fmt.Fprintf(w, "      %-16s → %s\n", "", f.Advice)
	}
}

// Check gives the findings of one theme within Limit, which is five seconds where it is 0.
type Check struct {
	Name  string
	Limit time.Duration
	Run   func(ctx context.Context) []Finding
}

// grace is what a check gets to put what it has found into words after its time is up.
const grace = 300 * time.Millisecond

// Examine runs the checks one after the other, so that none disturbs what another measures,
// and shows each finding at once. A check that panics or hangs becomes a warning; what hangs
// in the kernel, such as a dead network disk, cannot be ended and is left behind.
func Examine(ctx context.Context, checks []Check, show func(Finding)) {
	for _, c := range checks {
		if ctx.Err() != nil {
			return
		}
		for _, f := range c.examine(ctx) {
			show(f)
		}
	}
}

func (c Check) examine(ctx context.Context) []Finding {
	limit := c.Limit
	if limit == 0 {
		limit = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- []Finding{{c.Name, Warn, fmt.Sprintf("the check itself broke: %v", r), "report this as a bug; the other checks stand"}}
			}
		}()
		done <- c.Run(ctx)
	}()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	select {
	case found := <-done:
		return found
	case <-time.After(grace):
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return []Finding{{c.Name, Warn, fmt.Sprintf("no answer within %v", limit), "a disk, device or server that this check asks hangs; look at that first"}}
}

// explain splits an error of RTAP into what is wrong and what to do: messages end in
// ": run `…`" where there is a command that helps.
func explain(err error, otherwise string) (detail, advice string) {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if at := strings.LastIndex(text, ": run `"); at >= 0 {
		return text[:at], text[at+len(": "):]
	}
	return text, otherwise
}
