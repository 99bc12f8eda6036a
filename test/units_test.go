package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// settings are the lines KEY=VALUE of a unit's file, by key.
func settings(t *testing.T, file string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z][A-Za-z]+)=(.*)$`).FindAllStringSubmatch(string(raw), -1) {
		out[m[1]] = append(out[m[1]], m[2])
	}
	return out
}

// TestNoUnitSetsWhatTheCommonPartSets: systemd reads rtap-.service.d after the unit's own file,
// so that what both set is as the common part says. A unit that needs something else has a
// drop-in of its own, whose name comes later.
func TestNoUnitSetsWhatTheCommonPartSets(t *testing.T) {
	dir := filepath.Join(testkit.Root(t), "deploy", "systemd")
	const part = "10-common.conf"
	common := settings(t, filepath.Join(dir, "rtap-.service.d", part))
	if len(common["PrivateDevices"]) == 0 {
		t.Fatalf("%s has no PrivateDevices: %v", part, common)
	}
	units, err := filepath.Glob(filepath.Join(dir, "rtap-*.service"))
	if err != nil || len(units) < 6 {
		t.Fatal("units:", units, err)
	}
	adding := []string{"Environment", "EnvironmentFile"} // each line is one more
	for _, unit := range units {
		for key := range settings(t, unit) {
			if len(common[key]) > 0 && !slices.Contains(adding, key) {
				t.Errorf("%s sets %s, which %s sets again", filepath.Base(unit), key, part)
			}
		}
	}
	own, err := filepath.Glob(filepath.Join(dir, "rtap-[a-z]*.service.d", "*"))
	if err != nil || len(own) == 0 {
		t.Fatal("drop-ins:", own, err)
	}
	for _, file := range own {
		if filepath.Base(file) <= part {
			t.Errorf("%s is read before %s", file, part)
		}
		if unit := strings.TrimSuffix(filepath.Dir(file), ".d"); !slices.Contains(units, unit) {
			t.Errorf("%s belongs to no unit", file)
		}
	}
	capture := settings(t, filepath.Join(dir, "rtap-capture.service.d", "20-device.conf"))
	if got := strings.Join(capture["PrivateDevices"], " "); got != "no" {
		t.Errorf("rtap-capture: PrivateDevices=%s: it would see no /dev/snd", got)
	}
}
