package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/config"
)

// updateWait bounds one attempt to change a stream. A server that does not let this user do
// it says so on the side and never answers.
const updateWait = 2 * time.Second

// Drift is a stream that exists and is not as it should be. What RTAP owns, because its
// promises rest on it, is somebody's doing and put right; limits follow the configuration.
type Drift struct {
	Stream string
	// Limits and Owned say what differs: "max_age 10m0s, now 1h0m0s".
	Limits, Owned []string
	// Kept: this user may not change it, so it stays as it is.
	Kept bool
}

// String says what differs, and what became of it.
func (d Drift) String() string {
	what := "changed"
	if d.Kept {
		what = "should be changed, and this user may not; do it as the operator, with the nats command"
	}
	return fmt.Sprintf("stream %s %s: %s", d.Stream, what, strings.Join(append(append([]string(nil), d.Owned...), d.Limits...), "; "))
}

func difference(field string, have, want any) []string {
	if reflect.DeepEqual(have, want) {
		return nil
	}
	return []string{fmt.Sprintf("%s %v, now %v", field, have, want)}
}

func (d *Drift) limit(field string, have, want any) {
	d.Limits = append(d.Limits, difference(field, have, want)...)
}

func (d *Drift) owned(field string, have, want any) {
	d.Owned = append(d.Owned, difference(field, have, want)...)
}

// fixed is about what no server changes in a stream that exists.
func fixed(stream, field string, have, want any) error {
	return fmt.Errorf("it has %s %v, and RTAP needs %v, which cannot be changed in place: stop RTAP, save finals with `rtap backup`,"+
		" remove the stream with `nats stream rm %s`, start RTAP, which makes it as it should be, and `rtap restore`", field, have, want, stream)
}

// compare tells how a stream differs from what it should be.
func compare(have, want jetstream.StreamConfig) (Drift, error) {
	d := Drift{Stream: want.Name}
	switch {
	case have.Storage != want.Storage:
		return d, fixed(want.Name, "storage", have.Storage, want.Storage)
	case have.Retention != want.Retention:
		return d, fixed(want.Name, "retention", have.Retention, want.Retention)
	case have.PersistMode == jetstream.AsyncPersistMode && want.PersistMode != have.PersistMode:
		return d, fixed(want.Name, "persist mode", have.PersistMode, want.PersistMode)
	case have.Sealed:
		return d, fixed(want.Name, "sealed", true, false)
	}
	d.limit("max_age", have.MaxAge, want.MaxAge)
	d.limit("max_bytes", have.MaxBytes, unlimited(want.MaxBytes))
	d.limit("replicas", have.Replicas, want.Replicas)
	d.owned("subjects", have.Subjects, want.Subjects)
	d.owned("discard", have.Discard, want.Discard)
	d.owned("max_msgs_per_subject", unlimited(have.MaxMsgsPerSubject), unlimited(want.MaxMsgsPerSubject))
	d.owned("max_msgs", unlimited(have.MaxMsgs), unlimited(want.MaxMsgs))
	d.owned("discard_new_per_subject", have.DiscardNewPerSubject, want.DiscardNewPerSubject)
	d.owned("allow_direct", have.AllowDirect, want.AllowDirect)
	d.owned("no_ack", have.NoAck, want.NoAck)
	if id := want.Metadata[logIDKey]; have.Metadata[logIDKey] != id {
		d.owned("log_id", "none", id)
	}
	return d, nil
}

// compareBucket is compare for a bucket and the stream that holds it.
func compareBucket(have jetstream.StreamConfig, want jetstream.KeyValueConfig) (Drift, error) {
	d := Drift{Stream: have.Name}
	d.limit("max_age", have.MaxAge, want.TTL)
	d.limit("replicas", have.Replicas, want.Replicas)
	d.owned("max_msgs_per_subject", have.MaxMsgsPerSubject, int64(max(1, want.History)))
	if want.Storage == jetstream.FileStorage && have.Storage != want.Storage {
		return d, fixed(have.Name, "storage", have.Storage, want.Storage)
	}
	return d, nil
}

// Drifts says how the streams and buckets that exist differ from what cfg wants, and changes
// nothing. Broken has, by stream, what cannot be changed in place.
func Drifts(ctx context.Context, js jetstream.JetStream, cfg *config.Config) (drifts []Drift, broken map[string]error, err error) {
	broken = map[string]error{}
	look := func(name string, compare func(have jetstream.StreamConfig) (Drift, error)) error {
		s, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking at stream %s: %w", name, err)
		}
		d, err := compare(s.CachedInfo().Config)
		if err != nil {
			broken[name] = err
		} else if len(d.Limits)+len(d.Owned) > 0 {
			drifts = append(drifts, d)
		}
		return nil
	}
	for _, want := range streamConfigs(cfg) {
		err := look(want.Name, func(have jetstream.StreamConfig) (Drift, error) {
			if want.Name == StreamTranscripts {
				id := have.Metadata[logIDKey]
				if id == "" {
					id = "a new one"
				}
				want.Metadata = map[string]string{logIDKey: id}
			}
			return compare(have, want)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, want := range bucketConfigs(cfg) {
		if err := look("KV_"+want.Bucket, func(have jetstream.StreamConfig) (Drift, error) { return compareBucket(have, want) }); err != nil {
			return nil, nil, err
		}
	}
	return drifts, broken, nil
}

// unlimited is how the server says that there is no limit.
func unlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// owners are the services that write to a stream first. Processes may run with different
// profiles; a stream is kept as its owner's says, so that they do not change it to and fro.
var owners = map[string]string{
	StreamAudio: "capture", StreamIngest: "egress", StreamDrafts: "vad", StreamJobs: "vad", StreamResults: "stt", StreamDead: "stt",
	StreamTranscripts: "egress", StreamEvents: "egress",
	"KV_" + BucketLeases: "egress", "KV_" + BucketCheckpoints: "vad", "KV_" + BucketConfig: "egress",
}

// OwnerOf is the service that keeps a stream as its configuration says.
func OwnerOf(stream string) string { return owners[stream] }

// OnDrift sets which service this process is, and who is told of streams that it has put
// right. Without a service it puts all of them right. Call it before Run.
func (b *Bus) OnDrift(service string, tell func(Drift)) { b.service, b.tellDrift = service, tell }

// mend changes a stream that differs. One that this user may not change stays as it is, and
// works all the same; that is told once for each connection.
func (b *Bus) mend(ctx context.Context, d Drift, do func(context.Context) error) error {
	if len(d.Limits)+len(d.Owned) == 0 {
		return nil
	}
	if owner := owners[d.Stream]; b.service != "" && b.service != owner {
		b.log.Debug("a stream is not as this process would have it", "stream", d.Stream, "owner", owner, "owned", d.Owned, "limits", d.Limits)
		return nil
	}
	subject := "$JS.API.STREAM.UPDATE." + d.Stream
	if _, known := b.forbidden.Load(subject); known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, updateWait)
	defer cancel()
	if err := do(ctx); err != nil {
		if _, d.Kept = b.forbidden.Load(subject); !d.Kept {
			return fmt.Errorf("changing %s: %w", strings.Join(append(d.Owned, d.Limits...), "; "), err)
		}
	}
	msg := "a stream was not as it should be, and is now"
	if d.Kept {
		msg = "this user may not change the stream, which stays as it is; change it as the operator, with the nats command"
	}
	b.log.Warn(msg, "stream", d.Stream, "owned", d.Owned, "limits", d.Limits) //nolint:sloglint // one of two constants
	if b.tellDrift != nil {
		b.tellDrift(d)
	}
	return nil
}
