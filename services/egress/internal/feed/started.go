package feed

import (
	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// started hands on that speech has begun, in the words of Deepgram's clients.
func (h *Hub) started(msg *nats.Msg) {
	e := &rtapv1.VadEvent{}
	if err := wire.UnmarshalJSON(msg.Data, e); err != nil {
		h.rt.Metrics.Errors.WithLabelValues("egress", "bad_event").Inc()
		return
	}
	m := &rtapv1.SpeechStarted{
		Type: "SpeechStarted", Channel: []uint32{0, 1}, Timestamp: e.GetTimestamp(),
		Rtap: &rtapv1.NoticeRtap{Schema: wire.Schema, StreamId: e.GetStreamId()},
	}
	data, err := wire.MarshalJSON(m)
	if err != nil {
		return
	}
	h.send(Message{Stream: e.GetStreamId(), Data: data, Started: m})
}
