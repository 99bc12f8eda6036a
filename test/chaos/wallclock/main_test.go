package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const program = `package main

import (
	"fmt"
	"time"
)

func main() {
	began := time.Now()
	fmt.Println(began.Unix(), time.Since(began) < time.Minute)
}
`

// TestStep: a program built with the overlay has its wall clock an hour off, and no other clock.
func TestStep(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	clock, source, bin := filepath.Join(dir, "clock"), filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, source)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		if err := os.WriteFile(clock, binary.NativeEndian.AppendUint64(nil, uint64(int64(off.Seconds()))), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), bin)
		cmd.Env = append(os.Environ(), "RTAP_CHAOS_CLOCK="+clock)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var says int64
		var steady bool
		if _, err := fmt.Sscan(string(out), &says, &steady); err != nil {
			t.Fatal(err)
		}
		if is := time.Since(time.Unix(says, 0)) + off; is.Abs() > 20*time.Minute || !steady {
			t.Errorf("%v off: it is %v off, and time passes steadily: %v", off, -is, steady)
		}
	}
}
