package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/machine"
)

// Bus are the facts about the NATS server at nats.url.
type Bus struct {
	URL      string
	Local    bool  // the server is on this host
	Err      error // why there is no connection
	Version  string
	Cluster  string // "" for a single server
	Servers  int    // that the client knows of
	Replicas int    // nats.replicas
	// JetStream says why it cannot be used, Write why it stores nothing.
	JetStream, Write    error
	Limit, Stored, Free int64 // bytes: of this account on disk (-1: none), and of the volume
	Present, Missing    []string
	Differ              []string // streams with other replicas than configured
	// Owners are the services that put a change right. Changed are settings of streams that are not what RTAP needs, Limits those that are not what this configuration
	// says, and Broken, by stream, what cannot be put right in place.
	Owners, Changed, Limits []string
	Broken                  map[string]error
}

func (s *Site) nats(ctx context.Context) []Finding {
	cfg := s.Config.NATS
	b := Bus{URL: cfg.URL, Local: local(cfg.URL), Replicas: cfg.Replicas, Limit: -1}
	conn, err := bus.Dial(cfg, "rtap-doctor")
	if err != nil {
		b.Err = err
		return b.Findings()
	}
	defer conn.Close()
	b.Version, b.Cluster, b.Servers = conn.ConnectedServerVersion(), conn.ConnectedClusterName(), len(conn.Servers())
	if b.Local {
		b.Free, _ = machine.FreeDisk(s.DataDir)
	}
	b.jetStream(ctx, conn, s.Config)
	return b.Findings()
}

// local says whether every server of a list of URLs is on this host.
func local(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil {
			return false
		}
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

func (b *Bus) jetStream(ctx context.Context, conn *nats.Conn, cfg *config.Config) {
	js, err := jetstream.New(conn)
	if err != nil {
		b.JetStream = err
		return
	}
	info, err := js.AccountInfo(ctx)
	if err != nil {
		b.JetStream = err
		return
	}
	b.Limit, b.Stored = info.Limits.MaxStore, int64(info.Store)
	names := []string{bus.StreamAudio, bus.StreamIngest, bus.StreamDrafts, bus.StreamJobs, bus.StreamResults, bus.StreamTranscripts, bus.StreamDead, bus.StreamEvents}
	for _, bucket := range []string{bus.BucketLeases, bus.BucketCheckpoints, bus.BucketConfig} {
		names = append(names, "KV_"+bucket)
	}
	for _, name := range names {
		stream, err := js.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			b.Missing = append(b.Missing, name)
		case err != nil:
			b.JetStream = fmt.Errorf("looking at stream %s: %w", name, err)
			return
		default:
			b.Present = append(b.Present, name)
			if name == bus.StreamEvents {
				b.Write = store(ctx, conn, js)
			}
			if have := stream.CachedInfo().Config.Replicas; have != b.Replicas {
				b.Differ = append(b.Differ, fmt.Sprintf("%s (%d)", name, have))
			}
		}
	}
	b.drift(ctx, js, cfg)
}

// drift compares the streams with what they should be.
func (b *Bus) drift(ctx context.Context, js jetstream.JetStream, cfg *config.Config) {
	drifts, broken, err := bus.Drifts(ctx, js, cfg)
	if err != nil {
		b.JetStream = err
		return
	}
	b.Broken = broken
	for _, d := range drifts {
		if owner := "rtap-" + bus.OwnerOf(d.Stream); len(d.Owned) > 0 && !slices.Contains(b.Owners, owner) {
			b.Owners = append(b.Owners, owner)
		}
		for _, what := range d.Owned {
			b.Changed = append(b.Changed, d.Stream+": "+strings.ReplaceAll(what, ", now ", ", should be "))
		}
		for _, what := range d.Limits {
			if !strings.HasPrefix(what, "replicas ") { // they have a finding of their own
				b.Limits = append(b.Limits, d.Stream+": "+strings.ReplaceAll(what, ", now ", ", here "))
			}
		}
	}
}

// Findings judges the facts.
func (b Bus) Findings() []Finding {
	if b.Err != nil {
		f := b.unreachable()
		if f.Status == Info && b.Replicas > 1 {
			return []Finding{f, b.replicas()}
		}
		return []Finding{f}
	}
	out := []Finding{b.server()}
	if f := b.replicas(); f.Status != OK {
		out = append(out, f)
	}
	switch {
	case errors.Is(b.JetStream, jetstream.ErrJetStreamNotEnabled), errors.Is(b.JetStream, jetstream.ErrJetStreamNotEnabledForAccount):
		return append(out, Finding{"jetstream", Fail, b.JetStream.Error(), "start nats-server with --jetstream and --store_dir, or turn it on for this account"})
	case b.JetStream != nil:
		return append(out, Finding{"jetstream", Fail, b.JetStream.Error(), "look at the server's log and at what this user may do"})
	}
	switch {
	case errors.Is(b.Write, nats.ErrPermissionViolation):
		out = append(out, Finding{"jetstream", Info, "this user may not store events, so whether the server stores anything was not tried",
			"run it as the operator: `docker exec rtap-main rtap doctor`, or --set nats.user=operator"})
	case b.Write != nil:
		out = append(out, Finding{"jetstream", Fail, "it stores nothing: " + b.Write.Error(),
			"free space on the server's disk or raise its limits (max_file_store, nats.embedded.max_storage_mb), then restart the server: after a full disk it accepts nothing until then"})
	}
	return append(append(out, b.storage(), b.streams()), b.settings()...)
}

func (b Bus) unreachable() Finding {
	const name = "nats"
	detail := fmt.Sprintf("%s: %v", b.URL, b.Err)
	switch {
	case errors.Is(b.Err, nats.ErrAuthorization), errors.Is(b.Err, nats.ErrAuthExpired), errors.Is(b.Err, nats.ErrAuthRevoked):
		return Finding{name, Fail, detail, "set nats.user and nats.password, or nats.credentials, to what the server expects"}
	case errors.Is(b.Err, os.ErrNotExist):
		return Finding{name, Fail, detail, "set nats.credentials to a file that is there, or to nothing"}
	case b.Local && (errors.Is(b.Err, nats.ErrNoServers) || errors.Is(b.Err, nats.ErrTimeout)):
		return Finding{name, Info, "no server at " + b.URL + "; `rtap up` starts its own", ""}
	}
	return Finding{name, Fail, detail, "start the server, look at nats.url and at firewalls between here and there"}
}

func (b Bus) server() Finding {
	if bus.Older(b.Version, bus.LeastServer) {
		return Finding{"nats", Fail, fmt.Sprintf("%s runs version %s, which has known holes", b.URL, b.Version), "update nats-server to " + bus.LeastServer + " or later"}
	}
	return Finding{"nats", OK, fmt.Sprintf("%s answers, version %s", b.URL, b.Version), ""}
}

func (b Bus) replicas() Finding {
	const name = "replicas"
	switch {
	case b.Replicas > 1 && b.Cluster == "":
		return Finding{name, Fail, fmt.Sprintf("nats.replicas is %d, but the server stands alone", b.Replicas), "set nats.replicas to 1, or nats.url to a cluster"}
	case b.Replicas > b.Servers && b.Cluster != "":
		return Finding{name, Warn, fmt.Sprintf("nats.replicas is %d, but the cluster %s shows %d servers", b.Replicas, b.Cluster, b.Servers), "start the others, or set nats.replicas to no more than there are"}
	case len(b.Differ) > 0:
		return Finding{name, Warn, fmt.Sprintf("nats.replicas is %d, but there are streams with another number: %s", b.Replicas, strings.Join(b.Differ, ", ")), "start one of RTAP's processes with this configuration: it changes them"}
	}
	return Finding{name, OK, strconv.Itoa(b.Replicas), ""}
}

func (b Bus) storage() Finding {
	f := Finding{"jetstream", OK, fmt.Sprintf("holds %d MB of this account", b.Stored>>20), ""}
	if b.Limit >= 0 {
		f.Detail += fmt.Sprintf("; its limit is %d MB", b.Limit>>20)
	}
	if b.Limit >= 0 && b.Local && b.Free > 0 && b.Limit-b.Stored > b.Free {
		f.Status = Warn
		f.Detail += fmt.Sprintf(", but the disk has only %d MB left", b.Free>>20)
		f.Advice = "lower max_file_store (nats.embedded.max_storage_mb) or free some space; after a full disk JetStream accepts nothing until it is started again"
	}
	return f
}

// settings tells of streams that somebody, or another configuration, made otherwise.
func (b Bus) settings() (out []Finding) {
	const name = "stream settings"
	for _, stream := range slices.Sorted(maps.Keys(b.Broken)) {
		what, advice, _ := strings.Cut(b.Broken[stream].Error(), ": ")
		out = append(out, Finding{name, Fail, stream + ": " + what, advice})
	}
	if len(b.Changed) > 0 {
		out = append(out, Finding{name, Warn, "somebody changed what RTAP rests on: " + strings.Join(b.Changed, "; "), "restart " + strings.Join(b.Owners, " and ") + ", which puts it right and says so; find out who did it"})
	}
	if len(b.Limits) > 0 {
		out = append(out, Finding{name, Info, "limits differ from this configuration: " + strings.Join(b.Limits, "; "), "a stream is kept as its owner's configuration says; docs/DEPLOYMENT.md names the owners"})
	}
	return out
}

func (b Bus) streams() Finding {
	switch {
	case len(b.Missing) == 0:
		return Finding{"streams", OK, fmt.Sprintf("all %d are there", len(b.Present)), ""}
	case len(b.Present) == 0:
		return Finding{"streams", Info, "none yet; the first process that starts makes them", ""}
	}
	return Finding{"streams", Warn, list(b.Missing, "is", "are") + " missing", "start or restart one of RTAP's processes: it makes what is missing"}
}
