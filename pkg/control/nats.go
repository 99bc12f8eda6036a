package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rtap/rtap/pkg/bus"
)

// Headers of an answer's parts. The last part carries the number of all.
const (
	partHeader  = "Rtap-Part"  // from 1
	partsHeader = "Rtap-Parts" // only on the last one
)

// partBytes keeps a part well below NATS's limit of 1 MiB a message.
const partBytes = 512 << 10

// atOnce bounds the questions that are being answered.
const atOnce = 4

// Serve answers questions about instance that come over conn, as endpoints of svc, until
// ctx is done.
func (p *Process) Serve(ctx context.Context, svc micro.Service, conn *nats.Conn, instance string) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, atOnce)
	for _, question := range slices.AppendSeq([]string{Metrics, Logs, Profile}, maps.Keys(p.More)) {
		h := micro.HandlerFunc(func(req micro.Request) {
			select {
			case slots <- struct{}{}:
			default:
				_ = req.Error("503", ErrBusy.Error(), nil)
				return
			}
			// A profile takes its time; other questions must not wait for it.
			wg.Go(func() {
				defer func() { <-slots }()
				p.reply(ctx, conn, req, question)
			})
		})
		err := svc.AddEndpoint(question, h, micro.WithEndpointSubject(bus.Control(question, instance)), micro.WithEndpointQueueGroupDisabled())
		if err != nil {
			return fmt.Errorf("answering questions about %s: %w", question, err)
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *Process) reply(ctx context.Context, conn *nats.Conn, req micro.Request, question string) {
	q, err := url.ParseQuery(string(req.Data()))
	var data []byte
	if err == nil {
		data, err = p.answer(ctx, question, q)
	}
	if err != nil {
		// An asker that has gone needs no answer.
		_ = conn.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: nats.Header{
			micro.ErrorHeader: {err.Error()}, micro.ErrorCodeHeader: {"400"},
		}})
		return
	}
	for n := 1; ; n++ {
		part := data[:min(len(data), partBytes)]
		data = data[len(part):]
		msg := &nats.Msg{Subject: req.Reply(), Data: part, Header: nats.Header{partHeader: {strconv.Itoa(n)}}}
		if len(data) == 0 {
			msg.Header.Set(partsHeader, strconv.Itoa(n))
		}
		if conn.PublishMsg(msg) != nil || len(data) == 0 {
			return
		}
	}
}

// ErrAbsent says that no process of that name answers over NATS.
var ErrAbsent = errors.New("it does not answer over NATS")

// ask puts a question to an instance over NATS and joins the parts of the answer.
func ask(ctx context.Context, conn *nats.Conn, instance, question string, q url.Values) ([]byte, error) {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", instance, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := conn.PublishRequest(bus.Control(question, instance), inbox, []byte(q.Encode())); err != nil {
		return nil, fmt.Errorf("asking %s: %w", instance, err)
	}
	var out []byte
	for want := 1; ; want++ {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return nil, ErrAbsent
		case err != nil:
			return nil, fmt.Errorf("waiting for the answer of %s: %w", instance, err)
		case m.Header.Get(micro.ErrorHeader) != "":
			return nil, errors.New(m.Header.Get(micro.ErrorHeader))
		case m.Header.Get(partHeader) != strconv.Itoa(want):
			return nil, fmt.Errorf("part %d of the answer of %s was lost on the way", want, instance)
		}
		out = append(out, m.Data...)
		if m.Header.Get(partsHeader) != "" {
			return out, nil
		}
	}
}
