package rig

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/rtap/rtap/pkg/service"
)

func sourcesOf(files map[string]string) (out []string) {
	for stream, path := range files {
		out = append(out, "--source", "file:"+path+"?stream="+stream)
	}
	return out
}

// Play starts the sources; Stop ends them.
func (r *Rig) Play(files map[string]string) {
	sources := sourcesOf(files)
	if r.kind == ByUp {
		args := []string{"up", "--json", "--standby", "--stt", "2", "--data-dir", filepath.Join(r.Dir, "data")}
		g := r.Gateways[0]
		args = append(args, r.arguments([]string{set("egress.http_port", g.HTTP), set("egress.websocket.port", g.WebSocket),
			set("egress.zmq.transcript_port", g.Feed), set("egress.zmq.event_port", g.Events), set("nats.embedded.port", r.ports[8])})...)
		r.add(Up, "rtap", append(args, sources...)...).start()
		return
	}
	r.run++ // as `rtap up` does: who is started again does not play anew what has ended
	for _, name := range []string{Capture1, Capture2} {
		p := r.add(name, "rtap-capture", append(r.args("capture", "http.capture=127.0.0.1:0"), sources...)...)
		p.mayEnd, p.plan, p.fired = true, r.plan, r.fired
		p.environ = append(p.environ, fmt.Sprintf("%s=chaos-%d", service.RunVariable, r.run))
		p.start()
	}
}

// Armed gives the sources of the next Play failpoints; see [Process.Arm].
func (r *Rig) Armed(plan func() string, fired func(name string, at time.Time)) {
	r.plan, r.fired = plan, fired
}

// StopSources ends what Play started.
func (r *Rig) StopSources() {
	for _, name := range []string{Capture1, Capture2, Burst, Up} {
		if p := r.Processes[name]; p != nil {
			p.Close()
			delete(r.Processes, name)
		}
	}
}

// PlayMore starts further files in a process of their own, and returns what is closed when
// they have been played.
func (r *Rig) PlayMore(files map[string]string) (played <-chan struct{}) {
	p := r.add(Burst, "rtap-capture", append(r.args("capture", "http.capture=127.0.0.1:0"), sourcesOf(files)...)...)
	p.mayEnd = true
	p.environ = append(p.environ, fmt.Sprintf("%s=chaos-%d-burst", service.RunVariable, r.run))
	p.start()
	return p.done
}
