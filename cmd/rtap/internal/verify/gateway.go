package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// gateway is where a user finds one.
type gateway struct {
	name, host string // name: primary or standby
	ports
	token string
}

// ports of a gateway.
type ports struct{ http, ws, events, transcripts int }

// usual are the manual's, which containers publish whatever the configuration says.
var usual = ports{8080, 5802, 6552, 6553}

// next are those of the second gateway on the same host: n times one further for HTTP, ten
// for the others (8081: 5812, 6562, 6563).
func (p ports) next(n int) ports {
	return ports{p.http + n, p.ws + 10*n, p.events + 10*n, p.transcripts + 10*n}
}

// mostGateways on one host are told by their HTTP port.
const mostGateways = 10

// wanted explains an address.
const wanted = "want HOST, HOST:PORT, the port of its /health, or HOST:PORT,WEBSOCKET,EVENTS,TRANSCRIPTS"

// at gives the ports of the gateway at an address. Where only the HTTP port is named, the
// others are told by its distance to the configured one, or to the usual one; what is near
// neither must be said.
func at(name, address, token string, configured ports) (gateway, error) {
	host, list, err := net.SplitHostPort(address)
	if err != nil {
		host, list = address, strconv.Itoa(usual.http)
	}
	if host == "" || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return gateway{}, fmt.Errorf("%q: %s", address, wanted)
	}
	var numbers []int
	for text := range strings.SplitSeq(list, ",") {
		port, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || port < 1 || port > 65535 {
			return gateway{}, fmt.Errorf("%q: %s", address, wanted)
		}
		numbers = append(numbers, port)
	}
	switch len(numbers) {
	case 4:
		return gateway{name, host, ports{numbers[0], numbers[1], numbers[2], numbers[3]}, token}, nil
	case 1:
		for _, first := range []ports{configured, usual} {
			n := numbers[0] - first.http
			if p := first.next(n); n >= 0 && n < mostGateways && max(p.http, p.ws, p.events, p.transcripts) <= 65535 {
				return gateway{name, host, p, token}, nil
			}
		}
		return gateway{}, fmt.Errorf("%q: the gateway's other ports cannot be told from %d: name them, as %s:%d,5802,6552,6553 (WebSocket, events, transcripts)",
			address, numbers[0], host, numbers[0])
	}
	return gateway{}, fmt.Errorf("%q: %s", address, wanted)
}

func (g gateway) address(port int) string { return net.JoinHostPort(g.host, strconv.Itoa(port)) }

func (g gateway) header() http.Header {
	h := http.Header{}
	if g.token != "" {
		h.Set("Authorization", "Bearer "+g.token)
	}
	return h
}

// get asks over HTTP.
func (g gateway) get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address(g.http)+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header = g.header()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, body, err
}

// dial opens a WebSocket. A refusal's own words are the error.
func (g gateway) dial(ctx context.Context, path string, query url.Values) (*websocket.Conn, error) {
	u := url.URL{Scheme: "ws", Host: g.address(g.ws), Path: path, RawQuery: query.Encode()}
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	conn, resp, err := d.DialContext(ctx, u.String(), g.header())
	if err == nil {
		return conn, nil
	}
	if resp == nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // gorilla keeps no more of it
	var said struct {
		Error  string `json:"error"`
		Detail string `json:"detail"`
		Msg    string `json:"err_msg"`
	}
	_ = json.Unmarshal(body, &said) // it may be no JSON
	for _, text := range []string{said.Msg, said.Detail, said.Error} {
		if text != "" {
			return nil, fmt.Errorf("%s: %s", resp.Status, text)
		}
	}
	return nil, errors.New(resp.Status)
}

// overview is the part of /health that is looked at.
type overview struct {
	Status, Role, Version string
	Reasons               []string
	Stages                map[string][]struct {
		Instance, Version, State string
		Ready                    bool
	}
}

func (g gateway) health(ctx context.Context) (code int, o overview, err error) {
	code, body, err := g.get(ctx, "/health")
	if err != nil {
		return 0, o, err
	}
	if err := json.Unmarshal(body, &o); err != nil || o.Stages == nil {
		return code, o, fmt.Errorf("%s: /health is not that of a gateway of RTAP (%d): %.80q", g.address(g.http), code, body)
	}
	return code, o, nil
}
