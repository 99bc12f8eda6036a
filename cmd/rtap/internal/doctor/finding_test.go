package doctor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestExamine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		fine := func(name string) doctor.Check {
			return doctor.Check{Name: name, Run: func(context.Context) []doctor.Finding {
				return []doctor.Finding{{Name: name, Status: doctor.OK, Detail: "fine"}}
			}}
		}
		var got []doctor.Finding
		began := time.Now()
		doctor.Examine(t.Context(), []doctor.Check{
			fine("first"),
			{Name: "broken", Run: func(context.Context) []doctor.Finding { panic("of itself") }},
			{Name: "hung", Run: func(context.Context) []doctor.Finding { <-release; return nil }},
			{Name: "late", Limit: time.Second, Run: func(ctx context.Context) []doctor.Finding {
				<-ctx.Done()
				return []doctor.Finding{{Name: "late", Status: doctor.Info, Detail: "what was found until then"}}
			}},
			fine("last"),
		}, func(f doctor.Finding) { got = append(got, f) })
		expect(t, got,
			want{"first", doctor.OK, "fine", ""},
			want{"broken", doctor.Warn, "the check itself broke: of itself", "report"},
			want{"hung", doctor.Warn, "no answer within 5s", "hangs"},
			want{"late", doctor.Info, "until then", ""},
			want{"last", doctor.OK, "fine", ""})
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
	})
}

func TestExamineStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		doctor.Examine(ctx, []doctor.Check{
			{Name: "slow", Run: func(ctx context.Context) []doctor.Finding { cancel(); <-ctx.Done(); return nil }},
			{Name: "never", Run: func(context.Context) []doctor.Finding { t.Error("it went on"); return nil }},
		}, func(f doctor.Finding) { t.Errorf("got %+v", f) })
	})
}
