// Package device records from a sound card through malgo (miniaudio).
package device

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/gen2brain/malgo"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

// ErrNotFound is wrapped when no device has the wanted name.
var ErrNotFound = errors.New("no such capture device")

// Info describes a capture device.
type Info struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
	// Silent: it is one of ALSA's converters, which ALSA lists beside the microphones. With
	// nothing behind them they give zeros, and faster than time passes.
	Silent bool `json:"silent"`
}

var (
	converters = []string{"null", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix"}
	// doors lead to sound servers that may not run; nobody is led through one unasked.
	doors = []string{"pulse", "jack", "oss"}
)

const wayOut = "give this machine a microphone (a container: --device /dev/snd), set audio.device (AUDIO_DEVICE) to one of `rtap devices`, or RTAP_AUDIO_MOCK=true to play a recording"

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
	id := readable(d.ID.String())
	return Info{ID: id, Name: d.Name(), Default: d.IsDefault != 0, Silent: slices.Contains(converters, id)}
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

// Choose returns the index of the first device whose id or name, in any case, holds what is
// wanted; "default" or "" is the system's, else the first. Silent ones are none.
func Choose(devices []Info, wanted string) (int, error) {
	match := func(d Info) bool {
		return strings.Contains(d.ID, wanted) || strings.Contains(strings.ToLower(d.Name), strings.ToLower(wanted))
	}
	choices := []func(Info) bool{match}
	if wanted == "" || wanted == "default" {
		choices = []func(Info) bool{
			func(d Info) bool { return d.Default },
			func(d Info) bool { return !slices.Contains(doors, d.ID) },
		}
	}
	for _, fits := range choices {
		if i := slices.IndexFunc(devices, func(d Info) bool { return !d.Silent && fits(d) }); i >= 0 {
			return i, nil
		}
	}
	var names []string
	for _, d := range devices {
		if !d.Silent {
			names = append(names, fmt.Sprintf("%q (%s)", d.Name, d.ID))
		}
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return 0, fmt.Errorf("%w %q; there are: %s: %s", ErrNotFound, wanted, strings.Join(names, ", "), wayOut)
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

// Record starts the device that Choose takes. The ring holds bufferMS of its own format;
// how says what is made of its channels.
func Record(backend, wanted string, bufferMS int, how mono.How) (*Recorder, error) {
	ctx, err := open(backend)
	if err != nil {
		return nil, err
	}
	r := &Recorder{ctx: ctx}
	if err := r.start(wanted, bufferMS, how); err != nil {
		closeContext(ctx)
		return nil, err
	}
	return r, nil
}

func (r *Recorder) start(wanted string, bufferMS int, how mono.How) error {
	devices, err := r.ctx.Devices(malgo.Capture)
	if err != nil {
		return fmt.Errorf("listing devices: %w", err)
	}
	infos := make([]Info, len(devices))
	for i := range devices {
		infos[i] = info(&devices[i])
	}
	chosen, err := Choose(infos, wanted)
	if err != nil {
		return err
	}
	r.Info = infos[chosen]
	cfg := malgo.DefaultDeviceConfig(malgo.Capture)
	cfg.Capture.DeviceID = devices[chosen].ID.Pointer()
	cfg.Capture.Format = malgo.FormatF32
	cfg.PeriodSizeInMilliseconds = 10
	// A sound server drops, without a word, what is not fetched in time: half a second of a busy
	// machine is bridged. What is recorded still comes after each period.
	cfg.Periods = 50
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
		return fmt.Errorf("opening device %q: %w: %s", r.Info.Name, err, wayOut)
	}
	r.RateHz, r.Channels = int(r.device.SampleRate()), int(r.device.CaptureChannels())
	if err := how.Fits(r.Channels); err != nil {
		r.device.Uninit()
		return fmt.Errorf("opening device %q: %w", r.Info.Name, err)
	}
	r.Ring = NewRing(bufferMS*r.RateHz/1000, mono.New(r.Channels, r.RateHz, how))
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
