package doctor_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/machine"
)

func TestAudio(t *testing.T) {
	usb := doctor.Device{ID: "hw:1,0", Name: "USB Audio"}
	line := doctor.Device{ID: "hw:0,0", Name: "Line In", Default: true}
	null := doctor.Device{ID: "null", Name: "Discard all samples", Silent: true}
	monitor := doctor.Device{ID: "auto_null.monitor", Name: "Monitor of Dummy Output"}
	pulse := doctor.Device{ID: "pulse", Name: "PulseAudio Sound Server"}
	open := doctor.Nodes{Open: 3}
	access := want{"audio access", doctor.OK, "3 nodes", ""}
	noServer := want{"sound server", doctor.Info, "ALSA alone", ""}
	for name, tt := range map[string]struct {
		facts doctor.Audio
		wants []want
	}{
		"the default": {
			doctor.Audio{Wanted: []string{"default"}, Devices: []doctor.Device{usb, line}, Nodes: open},
			[]want{{"audio device", doctor.OK, `"default" is Line In`, ""}, access, noServer},
		},
		"by part of a name": {
			doctor.Audio{Wanted: []string{"usb", "hw:0"}, Devices: []doctor.Device{usb, line}, Nodes: open, Server: "/run/p"},
			[]want{{"audio device", doctor.OK, "USB Audio", ""}, {"audio device", doctor.OK, "Line In", ""}, access, {"sound server", doctor.OK, "/run/p", ""}},
		},
		"another than there are": {
			doctor.Audio{Wanted: []string{"headset"}, Devices: []doctor.Device{usb, line}, Nodes: open},
			[]want{{"audio device", doctor.Fail, `no "headset"; there are: "USB Audio", "Line In"`, "AUDIO_DEVICE"}, access, noServer},
		},
		"no device": {
			doctor.Audio{Wanted: []string{"default"}, Nodes: doctor.Nodes{Absent: true}},
			[]want{{"audio device", doctor.Warn, "no device to record from", "--device /dev/snd"}, {"audio access", doctor.Info, "no /dev/snd", ""}, noServer},
		},
		"only plugins": {
			doctor.Audio{Wanted: []string{"default"}, Devices: []doctor.Device{null, pulse}, Nodes: doctor.Nodes{Absent: true}},
			[]want{{"audio device", doctor.Warn, "only ALSA's plugins, which hear nothing: null, pulse; capture ends at its start", "RTAP_AUDIO_MOCK=true"}, {"audio access", doctor.Info, "no /dev/snd", ""}, noServer},
		},
		"pulse with its server": {
			doctor.Audio{Wanted: []string{"pulse"}, Devices: []doctor.Device{null, pulse}, Nodes: open, Server: "/run/p"},
			[]want{{"audio device", doctor.OK, "PulseAudio Sound Server", ""}, access, {"sound server", doctor.OK, "/run/p", ""}},
		},
		"the first is a converter": {
			doctor.Audio{Wanted: []string{"default"}, Devices: []doctor.Device{null, usb}, Nodes: open},
			[]want{{"audio device", doctor.OK, `"default" is USB Audio`, ""}, access, noServer},
		},
		"the first is deaf": {
			doctor.Audio{Wanted: []string{"default"}, Devices: []doctor.Device{monitor, usb}, Nodes: open},
			[]want{{"audio device", doctor.Warn, "gives silence", "rtap devices"}, access, noServer},
		},
		"not in the group": {
			doctor.Audio{Wanted: []string{"default"}, Nodes: doctor.Nodes{Shut: []string{"/dev/snd/pcmC0D0c"}, User: "ada"}},
			[]want{{"audio device", doctor.Warn, "no device", "usermod -a -G audio ada"}, {"audio access", doctor.Warn, "/dev/snd/pcmC0D0c", "usermod -a -G audio ada"}, noServer},
		},
		"in the group, shut all the same": {
			doctor.Audio{Wanted: []string{"default"}, Nodes: doctor.Nodes{Shut: []string{"/dev/snd/x"}, InGroup: true}},
			[]want{{"audio device", doctor.Warn, "no device", "RTAP_AUDIO_MOCK"}, {"audio access", doctor.Warn, "/dev/snd/x", "ls -l /dev/snd"}, noServer},
		},
		"another container's": {
			doctor.Audio{Wanted: []string{"default"}, Nodes: doctor.Nodes{Absent: true}, Elsewhere: "capture-1"},
			[]want{{"audio device", doctor.OK, "capture-1", ""}},
		},
		"no source wants one": {
			doctor.Audio{Nodes: doctor.Nodes{Absent: true}},
			[]want{{"audio device", doctor.OK, "no source needs one", ""}, {"audio access", doctor.Info, "no /dev/snd", ""}, noServer},
		},
		"capture does not answer": {
			doctor.Audio{Wanted: []string{"default"}, Err: errors.New("rtap-capture is broken"), Nodes: open, Backend: "pulseaudio"},
			[]want{{"audio device", doctor.Warn, "rtap-capture is broken", "see to rtap-capture"}, access, {"sound server", doctor.Fail, "audio.backend asks for it", "pipewire-pulse"}},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

// TestAudioGathered looks through a machine that is made up, with a capture program that
// is a script.
func TestAudioGathered(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "dev/snd/pcmC0D0c"), nil, 0o600)
	write(t, filepath.Join(root, "rtap-capture"), []byte("#!/bin/sh\necho '[{\"id\":\"hw:0\",\"name\":\"Desk\",\"default\":true}]'\n"), 0o755)
	for name, tt := range map[string]struct {
		sources []string
		mock    bool
		want    want
	}{
		"mic":       {[]string{"mic?stream=a", "file:x.wav"}, false, want{"audio device", doctor.OK, `"default" is Desk`, ""}},
		"mic:NAME":  {[]string{"mic:attic"}, false, want{"audio device", doctor.Fail, `no "attic"`, ""}},
		"file":      {[]string{"file:mic.wav"}, false, want{"audio device", doctor.OK, "no source needs one", ""}},
		"mock":      {[]string{"mic"}, true, want{"audio device", doctor.OK, "no source needs one", ""}},
		"by config": {[]string{"mic"}, false, want{"audio device", doctor.OK, "is Desk", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := site(t, root)
			s.Config.Audio.Sources, s.Config.Audio.Mock = tt.sources, tt.mock
			expect(t, s.Check(t, "audio")[:1], tt.want)
		})
	}
}

// examined is a site whose checks run one by one, with a configuration of the test's own.
type examined struct {
	*doctor.Site
	checks []doctor.Check
}

func site(t *testing.T, programs string) *examined {
	t.Helper()
	s := &doctor.Site{Programs: programs, DataDir: filepath.Join(t.TempDir(), "data"), Version: "dev", Host: machine.Host{Root: programs}}
	checks := s.Checks()
	s.Config = config.Default()
	return &examined{s, checks}
}

func (e *examined) Check(t *testing.T, name string) []doctor.Finding {
	t.Helper()
	for _, c := range e.checks {
		if c.Name == name {
			return c.Run(t.Context())
		}
	}
	t.Fatalf("no check is called %s", name)
	return nil
}
