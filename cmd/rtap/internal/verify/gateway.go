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
	name, host                    string // name: primary or standby
	http, ws, events, transcripts int
	token                         string
}

// at gives the addresses of the gateway whose HTTP port is known: a second one on the same
// host has its others ten times as far away (8081: 5812, 6562, 6563).
func at(name, address, token string) (gateway, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		host, text = address, "8080"
	}
	port, err := strconv.Atoi(text)
	if err != nil || host == "" || strings.Contains(host, ":") && net.ParseIP(host) == nil || port < 1 || port > 65535 {
		return gateway{}, fmt.Errorf("%q: want HOST or HOST:PORT, the port of its /health", address)
	}
	further := 10 * (port - 8080)
	return gateway{name, host, port, 5802 + further, 6552 + further, 6553 + further, token}, nil
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
