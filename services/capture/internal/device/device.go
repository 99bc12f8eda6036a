// Package device records from a sound card through malgo (miniaudio).
package device

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/gen2brain/malgo"
)

// ErrNotFound is wrapped when no device has the wanted name.
var ErrNotFound = errors.New("no such capture device")

// Info describes a capture device.
type Info struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

func open(backend string) (*malgo.AllocatedContext, error) {
	var backends []malgo.Backend
	switch backend {
	case "alsa":
		backends = []malgo.Backend{malgo.BackendAlsa}
	case "pulseaudio":
		backends = []malgo.Backend{malgo.BackendPulseaudio}
	case "jack":
		backends = []malgo.Backend{malgo.BackendJack}
	default:
		backends = []malgo.Backend{malgo.BackendPulseaudio, malgo.BackendAlsa, malgo.BackendJack}
	}
	ctx, err := malgo.InitContext(backends, malgo.ContextConfig{}, nil)
	if err != nil {
		return nil, fmt.Errorf("opening the audio system (audio.backend %s): %w", backend, err)
	}
	return ctx, nil
}

func closeContext(ctx *malgo.AllocatedContext) {
	_ = ctx.Uninit()
	ctx.Free()
}

// List returns the capture devices; none when the audio system has none.
func List(backend string) ([]Info, error) {
	ctx, err := open(backend)
	if err != nil {
		return nil, err
	}
	defer closeContext(ctx)
	devices, err := ctx.Devices(malgo.Capture)
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	var out []Info
	for i := range devices {
		out = append(out, info(&devices[i]))
	}
	return out, nil
}

func info(d *malgo.DeviceInfo) Info {
	return Info{ID: readable(d.ID.String()), Name: d.Name(), Default: d.IsDefault != 0}
}

// readable turns malgo's hexadecimal id into the audio system's own name of the device,
// such as alsa_input.usb-…, where it is one.
func readable(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return id
	}
	text := strings.TrimRight(string(raw), "\x00")
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return id
	}
	return text
}

// Recorder copies what a device hears into a ring of bytes.
type Recorder struct {
	ctx     *malgo.AllocatedContext
	device  *malgo.Device
	stopped atomic.Bool

	Info     Info
	RateHz   int
	Channels int
	Ring     *Ring
}

// Record starts the first device whose id or name (in any case) holds what is wanted;
// "default" or "" takes the system's. The ring holds bufferMS of the device's own format.
func Record(backend, wanted string, bufferMS int) (*Recorder, error) {
	ctx, err := open(backend)
	if err != nil {
		return nil, err
	}
	r := &Recorder{ctx: ctx}
	if err := r.start(wanted, bufferMS); err != nil {
		closeContext(ctx)
		return nil, err
	}
	return r, nil
}

func (r *Recorder) start(wanted string, bufferMS int) error {
	devices, err := r.ctx.Devices(malgo.Capture)
	if err != nil {
		return fmt.Errorf("listing devices: %w", err)
	}
	chosen := -1
	var names []string
	for i := range devices {
		d := info(&devices[i])
		names = append(names, fmt.Sprintf("%q (%s)", d.Name, d.ID))
		match := strings.Contains(d.ID, wanted) || strings.Contains(strings.ToLower(d.Name), strings.ToLower(wanted))
		if wanted == "" || wanted == "default" {
			match = d.Default
		}
		if match && chosen < 0 {
			chosen = i
		}
	}
	if chosen < 0 && (wanted == "" || wanted == "default") && len(devices) > 0 {
		chosen = 0
	}
	if chosen < 0 {
		if len(names) == 0 {
			names = []string{"none"}
		}
		return fmt.Errorf("%w %q; there are: %s", ErrNotFound, wanted, strings.Join(names, ", "))
	}
	r.Info = info(&devices[chosen])
	cfg := malgo.DefaultDeviceConfig(malgo.Capture)
	cfg.Capture.DeviceID = devices[chosen].ID.Pointer()
	cfg.Capture.Format = malgo.FormatF32
	cfg.PeriodSizeInMilliseconds = 10
	var ring atomic.Pointer[Ring]
	r.device, err = malgo.InitDevice(r.ctx.Context, cfg, malgo.DeviceCallbacks{
		Data: func(_, in []byte, _ uint32) {
			if p := ring.Load(); p != nil {
				p.Write(in)
			}
		},
		Stop: func() { r.stopped.Store(true) },
	})
	if err != nil {
		return fmt.Errorf("opening device %q: %w", r.Info.Name, err)
	}
	r.RateHz, r.Channels = int(r.device.SampleRate()), int(r.device.CaptureChannels())
	r.Ring = NewRing(bufferMS*r.RateHz/1000, 4*r.Channels)
	ring.Store(r.Ring)
	if err := r.device.Start(); err != nil {
		r.device.Uninit()
		return fmt.Errorf("starting device %q: %w", r.Info.Name, err)
	}
	return nil
}

// Stopped says that the device has gone away.
func (r *Recorder) Stopped() bool { return r.stopped.Load() }

// Close stops recording.
func (r *Recorder) Close() {
	r.device.Uninit()
	closeContext(r.ctx)
}
