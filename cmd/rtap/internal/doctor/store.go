package doctor

import (
	"context"
	"errors"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// store writes an event: a server whose disk is full, or was, answers everything but this.
// The error of a user who may not write one is nats.ErrPermissionViolation.
func store(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) error {
	host, _ := os.Hostname()
	data, err := wire.MarshalJSON(&rtapv1.ServiceEvent{
		Type: "Event", At: timestamppb.Now(), Service: "rtap", Instance: host, Kind: "doctor",
		Severity: rtapv1.ServiceEvent_SEVERITY_DEBUG, Message: "rtap doctor tries whether events are stored",
	})
	if err != nil {
		return err
	}
	// The server does not answer such a publication, it tells of it beside.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(err)
		}
	})
	msg := &nats.Msg{Subject: bus.Event("rtap", "doctor"), Data: data, Header: nats.Header{wire.ContentTypeHeader: {wire.JSON}}}
	_, err = js.PublishMsg(ctx, msg)
	if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
		return cause
	}
	return err
}
