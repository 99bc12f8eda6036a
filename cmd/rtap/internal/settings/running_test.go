package settings

import (
	"slices"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

func TestPending(t *testing.T) {
	worker := func(name, revision, problem string) *rtapv1.ServiceStatus {
		return &rtapv1.ServiceStatus{Instance: name, Attributes: map[string]string{
			bus.AttributeSettingsRevision: revision, bus.AttributeSettingsError: problem,
		}}
	}
	waiting, refused := followersOf("stt.model", "").pending([]*rtapv1.ServiceStatus{
		worker("behind", "4", ""), worker("there", "5", ""), worker("ahead", "6", ""), worker("starting", "", ""),
		worker("cannot", "5", "no such model"), worker("an old problem", "4", "no such model"),
	}, 5)
	if !slices.Equal(waiting, []string{"behind", "starting", "an old problem"}) || !slices.Equal(refused, []string{"cannot: no such model"}) {
		t.Errorf("waiting %q, refused %q", waiting, refused)
	}
}

func TestFollowersOfTheLogLevel(t *testing.T) {
	vad := &rtapv1.ServiceStatus{Service: "vad", Instance: "host-1", Attributes: map[string]string{
		bus.AttributeLogLevel: "DEBUG", bus.AttributeLogRevision: "7", bus.AttributeSettingsRevision: "2",
	}}
	for process, want := range map[string]bool{"": true, "vad": true, "host-1": true, "stt": false, "host": false} {
		if got := followersOf("log.level", process).match(vad); got != want {
			t.Errorf("--process %q: got %v", process, got)
		}
	}
	f := followersOf("log.level", "")
	if waiting, refused := f.pending([]*rtapv1.ServiceStatus{vad}, 7); len(waiting)+len(refused) > 0 {
		t.Errorf("waiting %q, refused %q", waiting, refused)
	}
	if got := f.describe(vad); got != "vad, log level DEBUG" {
		t.Errorf("got %q", got)
	}
}
