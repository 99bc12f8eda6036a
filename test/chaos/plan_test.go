package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// TestPoints: the suite comes to every failpoint of the code, and to no other.
func TestPoints(t *testing.T) {
	call := regexp.MustCompile(`failpoint\.At\("([^"]+)"\)`)
	var code, suite []string
	for _, dir := range []string{"pkg", "services", "cmd"} {
		err := filepath.WalkDir(filepath.Join(testkit.Root(t), dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range call.FindAllStringSubmatch(string(raw), -1) {
				code = append(code, m[1])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range points {
		suite = append(suite, p.name)
	}
	slices.Sort(code)
	slices.Sort(suite)
	if !slices.Equal(code, suite) {
		t.Errorf("the code has %v, the suite %v", code, suite)
	}
}

// TestPlan: a seed is a schedule.
func TestPlan(t *testing.T) {
	schedule := func(seed uint64, short bool) string {
		var out strings.Builder
		printPlan(&out, 0, makePlan(seed, short))
		return out.String()
	}
	for _, short := range []bool{true, false} {
		first, again := schedule(1, short), schedule(1, short)
		if first != again {
			t.Error("one seed gave two schedules")
		}
		if schedule(1, short) == schedule(2, short) {
			t.Error("two seeds gave one schedule")
		}
	}
	kills := 0
	for _, r := range makePlan(1, false) {
		if _, n := r.planned(); !r.second {
			kills += n
		}
	}
	if kills < 200 {
		t.Errorf("%d kills are planned", kills)
	}
}

// TestPlanStays: what is added to the suite is added behind what a seed has given before. The
// sum is over a schedule's text; if it has to change, old seeds mean something else.
func TestPlanStays(t *testing.T) {
	all := makePlan(28, false)
	var out strings.Builder
	printPlan(&out, 28, all[:len(all)-len(further(draw{rand.New(rand.NewPCG(0, 0))}))])
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(out.String()))); got != "b96f8e527342ae82b920023a0d60a672863016e7dde94ba8dc2f096ad3d14859" {
		t.Errorf("seed 28 means something else: %s", got)
	}
}
