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
	waiting, refused := pending([]*rtapv1.ServiceStatus{
		worker("behind", "4", ""), worker("there", "5", ""), worker("ahead", "6", ""), worker("starting", "", ""),
		worker("cannot", "5", "no such model"), worker("an old problem", "4", "no such model"),
	}, 5)
	if !slices.Equal(waiting, []string{"behind", "starting", "an old problem"}) || !slices.Equal(refused, []string{"cannot: no such model"}) {
		t.Errorf("waiting %q, refused %q", waiting, refused)
	}
}
