package device_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/rtap/rtap/services/capture/internal/device"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

func stereo(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func TestRingMixesAndCountsLoss(t *testing.T) {
	r := device.NewRing(4, mono.New(2, 16000, mono.How{}))
	for round := range 5 {
		r.Write(stereo(0.5, 0, 1, 0.5, -1, -1))
		r.Write(stereo(0, 0, 0, 0))
		got, _, lost := r.Read()
		if len(got) != 3 || got[0] != 0.25 || got[1] != 0.75 || got[2] != -1 || lost != 2 {
			t.Fatalf("round %d: %v, lost %d", round, got, lost)
		}
	}
}

func TestRingDoesNotAllocate(t *testing.T) {
	r := device.NewRing(64, mono.New(2, 16000, mono.How{}))
	p := stereo(1, 1, 1, 1)
	if n := testing.AllocsPerRun(1000, func() { r.Write(p) }); n != 0 {
		t.Errorf("%v allocations in the audio callback", n)
	}
	stamp := testing.AllocsPerRun(1000, func() { r.Read() })
	if n := testing.AllocsPerRun(1000, func() { r.Write(p); r.Read() }); n != stamp {
		t.Errorf("%v allocations for samples", n-stamp)
	}
}
