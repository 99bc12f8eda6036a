//go:build failpoint

package failpoint_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/failpoint"
)

// TestMain is also the process that comes to the place three times.
func TestMain(m *testing.M) {
	if os.Getenv("PASS") == "" {
		os.Exit(m.Run())
	}
	for n := range 3 {
		failpoint.At("test/elsewhere")
		failpoint.At("test/here")
		fmt.Println(n + 1)
	}
}

func TestAt(t *testing.T) {
	for plan, tt := range map[string]struct {
		passes string
		code   int
		signal syscall.Signal
	}{
		"":                       {passes: "1 2 3"},
		"test/other=kill":        {passes: "1 2 3"},
		"test/here=kill":         {signal: syscall.SIGKILL, code: -1},
		"test/here:3=kill":       {passes: "1 2", signal: syscall.SIGKILL, code: -1},
		"test/here:2=exit":       {passes: "1", code: 3},
		"test/here:2=stop:100ms": {passes: "1 2 3"},
		"test/here=delay:1ms":    {passes: "1 2 3"},
		"test/other=kill,test/here:2=exit,test/elsewhere:3=kill": {passes: "1", code: 3},
		"test/here=kill,test/elsewhere:0=kill":                   {code: 2},
		"test/here":                                              {code: 2},
		"test/here:0=kill":                                       {code: 2},
		"test/here=stop":                                         {code: 2},
		"=kill":                                                  {code: 2},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "PASS=1", failpoint.Env+"="+plan)
		began := time.Now()
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		var signal syscall.Signal
		if status.Signaled() {
			signal = status.Signal()
		}
		if got := strings.Join(strings.Fields(string(out)), " "); got != tt.passes || cmd.ProcessState.ExitCode() != tt.code || signal != tt.signal {
			t.Errorf("%q: passes %q, code %d, signal %v", plan, got, cmd.ProcessState.ExitCode(), signal)
		}
		if strings.Contains(plan, "stop:") && time.Since(began) < 100*time.Millisecond {
			t.Errorf("%q: the process was not stopped", plan)
		}
	}
}
