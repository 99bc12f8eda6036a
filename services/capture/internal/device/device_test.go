package device_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rtap/rtap/services/capture/internal/device"
)

func TestChoose(t *testing.T) {
	null := device.Info{ID: "null", Name: "Discard all samples", Silent: true}
	door := device.Info{ID: "jack", Name: "JACK Audio Connection Kit"}
	card := device.Info{ID: ":0,0", Name: "HDA Intel PCH"}
	usb := device.Info{ID: ":1,0", Name: "USB Microphone", Default: true}
	for name, c := range map[string]struct {
		devices []device.Info
		wanted  string
		want    int
		says    string
	}{
		"the system's own":              {[]device.Info{null, card, usb}, "default", 2, ""},
		"nothing said":                  {[]device.Info{card, usb}, "", 1, ""},
		"none is the system's":          {[]device.Info{null, card}, "default", 1, ""},
		"a part of a name, in any case": {[]device.Info{null, card, usb}, "hda", 1, ""},
		"an id":                         {[]device.Info{card, usb}, ":1,0", 1, ""},
		"no such name":                  {[]device.Info{null, card}, "webcam", 0, `"webcam"; there are: "HDA Intel PCH" (:0,0): give this machine a microphone`},
		"nothing at all":                {nil, "default", 0, `"default"; there are: none: give this machine a microphone (a container: --device /dev/snd)`},
		"only converters":               {[]device.Info{null}, "default", 0, "there are: none: "},
		"a converter by its name":       {[]device.Info{null}, "null", 0, "there are: none: "},
		"only a door":                   {[]device.Info{null, door}, "default", 0, `there are: "JACK Audio Connection Kit" (jack): `},
		"a door by its name":            {[]device.Info{null, door}, "jack", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := device.Choose(c.devices, c.wanted)
			if c.says != "" {
				if !errors.Is(err, device.ErrNotFound) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %d, %v, want %d", got, err, c.want)
			}
		})
	}
}
