package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/bus"
)

// Device is one line of `rtap-capture devices --json`.
type Device struct {
	ID, Name string
	Default  bool
	Silent   bool // a converter of ALSA's, which capture does not take
}

// Audio are the facts about microphones.
type Audio struct {
	// Wanted are the devices that the sources ask for, by name or id; empty when none does.
	Wanted  []string
	Devices []Device
	Err     error // why they cannot be listed
	Nodes   Nodes
	Backend string // audio.backend
	Server  string // the socket of PulseAudio or PipeWire that answers
	// Elsewhere is the capture process on another host or in another container that is
	// ready; "" where there is none.
	Elsewhere string
}

// Nodes are the facts about /dev/snd.
type Nodes struct {
	Absent  bool
	Shut    []string // nodes that this user may not open
	Open    int
	InGroup bool // the user is in the group audio, or is root
	User    string
}

func (s *Site) audio(ctx context.Context) []Finding {
	a := Audio{Wanted: wanted(s.Config.Audio.Sources, s.Config.Audio.Device, s.Config.Audio.Mock), Backend: s.Config.Audio.Backend}
	raw, err := s.ask(ctx, "rtap-capture", "devices", "--json")
	if err == nil {
		err = json.Unmarshal(raw, &a.Devices)
	}
	a.Err = err
	a.Nodes = nodes(filepath.Join(s.Host.Root, "dev/snd"))
	a.Server = s.soundServer(ctx)
	if !local(s.Config.NATS.URL) {
		a.Elsewhere = s.capture(ctx)
	}
	return a.Findings()
}

// capture asks over the bus for a capture process that is ready.
func (s *Site) capture(ctx context.Context) string {
	conn, err := bus.Dial(s.Config.NATS, "rtap-doctor")
	if err != nil {
		return ""
	}
	defer conn.Close()
	seen, err := bus.AskStatuses(ctx, conn, 400*time.Millisecond)
	if err != nil {
		return ""
	}
	for _, one := range seen {
		if one.GetService() == "capture" && one.GetReady() {
			return one.GetInstance()
		}
	}
	return ""
}

// wanted lists the devices that sources will look for.
func wanted(sources []string, device string, mock bool) (out []string) {
	if mock {
		return nil
	}
	for _, uri := range sources {
		address, _, _ := strings.Cut(uri, "?")
		kind, name, named := strings.Cut(address, ":")
		switch {
		case kind != "mic":
		case named:
			out = append(out, name)
		default:
			out = append(out, device)
		}
	}
	return out
}

func nodes(dir string) Nodes {
	n := Nodes{InGroup: os.Geteuid() == 0, User: "USER"}
	if u, err := user.Current(); err == nil {
		n.User = u.Username
	}
	if g, err := user.LookupGroup("audio"); err == nil && !n.InGroup {
		groups, _ := os.Getgroups()
		id, _ := strconv.Atoi(g.Gid)
		n.InGroup = slices.Contains(groups, id)
	}
	entries, err := os.ReadDir(dir)
	n.Absent = errors.Is(err, fs.ErrNotExist)
	if err != nil && !n.Absent {
		n.Shut = append(n.Shut, dir)
	}
	const readWrite = 4 | 2
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
		case syscall.Access(path, readWrite) == nil:
			n.Open++
		default:
			n.Shut = append(n.Shut, path)
		}
	}
	return n
}

// soundServer returns the first socket of PulseAudio or PipeWire that answers.
func (s *Site) soundServer(ctx context.Context) string {
	var candidates []string
	if server := s.variable("PULSE_SERVER"); server != "" {
		candidates = append(candidates, strings.TrimPrefix(server, "unix:"))
	}
	for _, dir := range []string{s.variable("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid())} {
		if dir != "" {
			candidates = append(candidates, filepath.Join(dir, "pulse/native"), filepath.Join(dir, "pipewire-0"))
		}
	}
	candidates = append(candidates, "/run/pulse/native")
	d := net.Dialer{Timeout: time.Second}
	for _, path := range candidates {
		network := "unix"
		if address, ok := strings.CutPrefix(path, "tcp:"); ok {
			network, path = "tcp", address
		}
		if conn, err := d.DialContext(ctx, network, path); err == nil {
			_ = conn.Close()
			return path
		}
	}
	return ""
}

// Findings judges the facts.
func (a Audio) Findings() []Finding {
	if a.Elsewhere != "" {
		return []Finding{{"audio device", OK, "capture runs as " + a.Elsewhere + " and is ready; what is here does not count", ""}}
	}
	return append(a.devices(), a.access(), a.server())
}

const withoutDevice = "set RTAP_AUDIO_MOCK=true to play a recording instead, use --source file:PATH, or give a container its device (`docker run --device /dev/snd`)"

func (a Audio) devices() []Finding {
	const name = "audio device"
	var names, ids []string
	for _, d := range a.Devices {
		names, ids = append(names, fmt.Sprintf("%q", d.Name)), append(ids, d.ID)
	}
	there := strings.Join(names, ", ")
	switch {
	case len(a.Wanted) == 0:
		return []Finding{{name, OK, "no source needs one", ""}}
	case a.Err != nil:
		return []Finding{{name, Warn, "devices cannot be listed: " + a.Err.Error(), "see to rtap-capture first; " + withoutDevice}}
	case !slices.ContainsFunc(a.Devices, a.hears):
		advice := withoutDevice
		if len(a.Nodes.Shut) > 0 && !a.Nodes.InGroup {
			advice = "let this user hear: " + a.Nodes.join() + "; or " + advice
		}
		detail := "this machine has no device to record from"
		if len(a.Devices) > 0 {
			detail += ", only ALSA's plugins, which hear nothing: " + strings.Join(ids, ", ")
		}
		return []Finding{{name, Warn, detail + "; capture ends at its start", advice}}
	}
	var out []Finding
	for _, wanted := range a.Wanted {
		switch d, found := a.find(wanted); {
		case found && a.hears(d):
			out = append(out, Finding{name, OK, fmt.Sprintf("%q is %s", wanted, d.Name), ""})
		case found:
			out = append(out, Finding{name, Warn, fmt.Sprintf("%q is %s, which is no microphone and gives silence", wanted, d.Name), "set audio.device (AUDIO_DEVICE) to part of a microphone's name: `rtap devices`"})
		default:
			out = append(out, Finding{name, Fail, fmt.Sprintf("there is no %q; there are: %s", wanted, there), "plug it in, or set audio.device (AUDIO_DEVICE, mic:NAME) to part of one of these names: `rtap devices`"})
		}
	}
	return out
}

// doors are what ALSA calls other sound servers.
var doors = []string{"pulse", "jack", "oss"}

// hears says whether a device may be a microphone. ALSA lists its converters as well, and
// its doors to servers that do not run.
func (a Audio) hears(d Device) bool {
	if slices.Contains(doors, d.ID) {
		return a.Server != "" || a.Nodes.Open > 0
	}
	return !d.Silent && d.ID != "auto_null.monitor"
}

// find returns the device that capture would take.
func (a Audio) find(wanted string) (Device, bool) {
	first := wanted == "" || wanted == "default"
	for _, d := range a.Devices {
		match := strings.Contains(d.ID, wanted) || strings.Contains(strings.ToLower(d.Name), strings.ToLower(wanted))
		if !d.Silent && (first && d.Default || !first && match) {
			return d, true
		}
	}
	if i := slices.IndexFunc(a.Devices, func(d Device) bool { return !d.Silent && !slices.Contains(doors, d.ID) }); first && i >= 0 {
		return a.Devices[i], true
	}
	return Device{}, false
}

func (n Nodes) join() string {
	return fmt.Sprintf("`sudo usermod -a -G audio %s`, then log in again (a container: --group-add audio)", n.User)
}

func (a Audio) access() Finding {
	const name = "audio access"
	switch {
	case a.Nodes.Absent:
		return Finding{name, Info, "there is no /dev/snd: no sound card, or a container that was not given it", ""}
	case len(a.Nodes.Shut) > 0:
		f := Finding{name, Info, "this user may not open " + strings.Join(a.Nodes.Shut, ", "), ""}
		if len(a.Wanted) > 0 && !slices.ContainsFunc(a.Devices, a.hears) {
			f.Status, f.Advice = Warn, a.Nodes.join()
			if a.Nodes.InGroup {
				f.Advice = "this user is in the group audio already: look at the owner and mode of these files (`ls -l /dev/snd`)"
			}
		}
		return f
	}
	return Finding{name, OK, fmt.Sprintf("this user may open the %d nodes of /dev/snd", a.Nodes.Open), ""}
}

func (a Audio) server() Finding {
	const name = "sound server"
	switch {
	case a.Server != "":
		return Finding{name, OK, "PulseAudio or PipeWire answers at " + a.Server, ""}
	case a.Backend == "pulseaudio" && len(a.Wanted) > 0:
		return Finding{name, Fail, "neither PulseAudio nor PipeWire answers, and audio.backend asks for it", "start it for this user (`systemctl --user start pipewire-pulse`), or set audio.backend to auto; in a container pass its socket in and set PULSE_SERVER"}
	}
	return Finding{name, Info, "neither PulseAudio nor PipeWire answers; ALSA alone is used", ""}
}
