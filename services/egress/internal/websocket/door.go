package websocket

import (
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
)

// Why a client is not let in.
var (
	ErrToken  = errors.New("a token is required (egress.auth_token): Authorization: Bearer TOKEN, Authorization: Token TOKEN, or Sec-WebSocket-Protocol: token, TOKEN")
	ErrOrigin = errors.New("pages of this origin are not let in (egress.websocket.allowed_origins)")
)

// Door decides who may come in, and makes WebSocket connections of requests.
type Door struct {
	rt   *service.Runtime
	gate *access.Gate
	up   websocket.Upgrader
}

// NewDoor lets in who the configuration lets in.
func NewDoor(rt *service.Runtime) *Door {
	d := &Door{rt: rt, gate: access.NewGate(rt.Config.Egress)}
	d.up.CheckOrigin = d.gate.Origin
	d.up.Subprotocols = access.Schemes
	return d
}

// Admit checks a request's origin (ErrOrigin) and token (ErrToken).
func (d *Door) Admit(r *http.Request) error {
	if !d.gate.Origin(r) {
		return ErrOrigin
	}
	if !d.gate.Token(r) {
		return ErrToken
	}
	return nil
}

// IsUpgrade says whether a request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// Upgrade makes a connection of a request that was admitted; header goes with the answer. On
// an error the request has been answered.
func (d *Door) Upgrade(w http.ResponseWriter, r *http.Request, header http.Header) (*Conn, error) {
	lenientKey(r)
	ws, err := d.up.Upgrade(w, r, header)
	if err != nil {
		return nil, err
	}
	return newConn(ws, d.rt.Config.Egress.WebSocket.WriteTimeout), nil
}

// lenientKey lets clients in whose key is not 16 bytes long, as in many curl examples.
// The key is only echoed back as a hash; gorilla insists on its length, so a valid one
// takes its place. Such clients do not check the hash.
func lenientKey(r *http.Request) {
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err == nil && len(raw) > 0 && len(raw) != 16 {
		r.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(append(raw, make([]byte, 16)...)[:16]))
	}
}
