package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/obs"
)

// Port are the facts about one port that RTAP listens on.
type Port struct {
	Key, Host string
	Number    int
	Err       error  // why it cannot be listened on; nil when it is free
	Holder    string // name of the process that has it, where that shows
	PID       int
	// Speaks is "rtap" when what listens shows itself as RTAP, "nats" for a NATS server.
	Speaks string
}

// Ports are the facts about all of them.
type Ports struct {
	Ports []Port
	// Gateway is what a running gateway says of the pipeline; nil when none answers.
	Gateway *Gateway
}

// Gateway is the part of /health that is looked at.
type Gateway struct {
	Status  string
	Version string
	Role    string
	Reasons []string
	Stages  map[string]any
}

func (s *Site) ports(ctx context.Context) []Finding {
	e, n := s.Config.Egress, s.Config.NATS.Embedded
	p := Ports{Gateway: askGateway(ctx, e.Listen, e.HTTPPort)}
	for _, port := range []Port{
		{Key: "egress.http_port", Host: e.Listen, Number: e.HTTPPort},
		{Key: "egress.websocket.port", Host: e.Listen, Number: e.WebSocket.Port},
		{Key: "egress.zmq.event_port", Host: e.Listen, Number: e.ZMQ.EventPort},
		{Key: "egress.zmq.transcript_port", Host: e.Listen, Number: e.ZMQ.TranscriptPort},
		{Key: "nats.embedded.port", Host: n.Listen, Number: n.Port},
	} {
		if port.Number > 0 {
			p.Ports = append(p.Ports, port.look(ctx, p.Gateway != nil))
		}
	}
	h := s.Config.HTTP
	for _, of := range [][2]string{{"http.capture", h.Capture}, {"http.vad", h.VAD}, {"http.stt", h.STT}} {
		host, port, err := net.SplitHostPort(of[1])
		if number, bad := strconv.Atoi(port); err == nil && bad == nil && number > 0 {
			// Only what is taken is of interest: `rtap up` gives its processes free ports.
			if x := (Port{Key: of[0], Host: host, Number: number}).look(ctx, p.Gateway != nil); x.Err != nil {
				p.Ports = append(p.Ports, x)
			}
		}
	}
	return p.Findings()
}

// look tries the port and finds out who has it.
func (p Port) look(ctx context.Context, gateway bool) Port {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Number)))
	if err == nil {
		_ = l.Close()
		return p
	}
	p.Err = err
	if !errors.Is(err, syscall.EADDRINUSE) {
		return p
	}
	p.Holder, p.PID, _ = obs.Holder(uint16(p.Number))
	switch {
	case strings.HasPrefix(p.Key, "nats."):
		p.Speaks = greeting(ctx, reachable(p.Host), p.Number)
	case gateway && (p.Holder == "" || p.Holder == "docker-proxy"):
		p.Speaks = "rtap" // a gateway in a container, or another user's
	}
	return p
}

// reachable is the address under which one that listens on host is spoken to.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}

// greeting reads the line with which a NATS server begins: "rtap" for that of `rtap up`,
// "nats" for any other, "" for what is none.
func greeting(ctx context.Context, host string, port int) string {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	if conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return ""
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "INFO ")
	if !ok {
		return ""
	}
	var info struct {
		Name string `json:"server_name"`
	}
	if json.Unmarshal([]byte(rest), &info) == nil && info.Name == "rtap" {
		return "rtap"
	}
	return "nats"
}

// askGateway asks /health; nil when what answers is no gateway of RTAP.
func askGateway(ctx context.Context, host string, port int) *Gateway {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort(reachable(host), strconv.Itoa(port)) + "/health"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var g Gateway
	if json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&g) != nil || g.Stages == nil {
		return nil
	}
	return &g
}

// Findings judges the facts.
func (p Ports) Findings() []Finding {
	const name = "ports"
	var out []Finding
	var free, ours []string
	seen := map[int]string{}
	for _, x := range p.Ports {
		number := strconv.Itoa(x.Number)
		if other := seen[x.Number]; other != "" {
			out = append(out, Finding{name, Fail, fmt.Sprintf("%s and %s are both %d", other, x.Key, x.Number), "give each a port of its own"})
			continue
		}
		seen[x.Number] = x.Key
		switch {
		case x.Err == nil:
			free = append(free, number)
		case errors.Is(x.Err, syscall.EADDRINUSE) && (x.Speaks == "rtap" || strings.HasPrefix(x.Holder, "rtap")):
			ours = append(ours, number)
		default:
			out = append(out, x.trouble())
		}
	}
	if len(ours) > 0 {
		out = append([]Finding{{name, OK, "RTAP is running: it holds " + strings.Join(ours, ", "), ""}}, out...)
	}
	if len(free) > 0 {
		out = append([]Finding{{name, OK, list(free, "is free", "are free"), ""}}, out...)
	}
	return append(out, p.Gateway.findings()...)
}

func (p Port) trouble() Finding {
	f := Finding{Name: "ports", Status: Fail}
	switch {
	case errors.Is(p.Err, syscall.EADDRINUSE):
		by := "a process that does not show (another user's, or outside the container)"
		if p.Holder != "" {
			by = fmt.Sprintf("%s (process %d)", p.Holder, p.PID)
		}
		f.Detail = fmt.Sprintf("port %d is held by %s", p.Number, by)
		f.Advice = fmt.Sprintf("stop that process, or set %s to another port", p.Key)
		if strings.HasPrefix(p.Key, "http.") {
			f.Status = Warn // not under `rtap up`
		}
		if p.Speaks == "nats" {
			f.Status = Warn
			f.Advice = fmt.Sprintf("use that NATS server with `rtap up --nats nats://%s`, or set %s to another port", net.JoinHostPort(reachable(p.Host), strconv.Itoa(p.Number)), p.Key)
		}
	case errors.Is(p.Err, syscall.EACCES):
		f.Detail = fmt.Sprintf("port %d may not be listened on by this user", p.Number)
		f.Advice = fmt.Sprintf("set %s to 1024 or above", p.Key)
	case errors.Is(p.Err, syscall.EADDRNOTAVAIL):
		f.Detail = fmt.Sprintf("%s is no address of this machine", p.Host)
		f.Advice = "set " + p.Key[:strings.Index(p.Key, ".")] + ".listen to 127.0.0.1, 0.0.0.0 or an address that is"
		if strings.HasPrefix(p.Key, "nats.") {
			f.Advice = "set nats.embedded.listen to 127.0.0.1 or an address that is"
		}
		if strings.HasPrefix(p.Key, "http.") {
			f.Advice = fmt.Sprintf("set %s to 127.0.0.1:%d, or to an address that is", p.Key, p.Number)
		}
	default:
		f.Detail = fmt.Sprintf("port %d cannot be listened on: %v", p.Number, p.Err)
		f.Advice = fmt.Sprintf("look at %s and the address that it is listened on", p.Key)
	}
	return f
}

// findings is what a running pipeline says of itself.
func (g *Gateway) findings() []Finding {
	const name = "pipeline"
	if g == nil {
		return nil
	}
	if g.Status == "healthy" {
		return []Finding{{name, OK, fmt.Sprintf("running and healthy: version %s, %s", g.Version, g.Role), ""}}
	}
	return []Finding{{name, Warn, "running, but " + g.Status + ": " + strings.Join(g.Reasons, "; "), "look at the logs of the stage that the message names; after a start it takes a second or two"}}
}
