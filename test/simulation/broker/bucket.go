package broker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucketPrefix = "KV_"
	operation    = "KV-Operation"
)

// bucket is a key-value bucket as a client sees it.
type bucket struct {
	jetstream.KeyValue
	client *Client
	name   string
}

func (j *js) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	err := j.client.call(ctx, "create "+cfg.Bucket, func() error {
		s, name := j.client.server, bucketPrefix+cfg.Bucket
		if s.streams[name] != nil {
			return jetstream.ErrBucketExists
		}
		s.streams[name] = newStore(jetstream.StreamConfig{
			Name: name, Subjects: []string{"$KV." + cfg.Bucket + ".>"}, MaxAge: cfg.TTL, Storage: cfg.Storage,
			MaxMsgsPerSubject: max(1, int64(cfg.History)), Replicas: cfg.Replicas,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &bucket{client: j.client, name: cfg.Bucket}, nil
}

func (j *js) KeyValue(ctx context.Context, name string) (jetstream.KeyValue, error) {
	err := j.client.call(ctx, "open "+name, func() error {
		if j.client.server.streams[bucketPrefix+name] == nil {
			return jetstream.ErrBucketNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &bucket{client: j.client, name: name}, nil
}

func (b *bucket) subject(key string) string { return "$KV." + b.name + "." + key }

// put is one conditional write; 0 stands for a key that is not there.
func (b *bucket) put(ctx context.Context, key string, value []byte, header nats.Header, revision *uint64) (rev uint64, err error) {
	s := b.client.server
	heard := nats.Header{}
	if op := header.Get(operation); op != "" {
		heard.Set(operation, op)
	}
	if revision != nil {
		heard.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(*revision, 10))
	}
	err = b.client.call(ctx, "put "+b.subject(key), func() (err error) {
		if s.streams[bucketPrefix+b.name] == nil {
			return jetstream.ErrNoStreamResponse
		}
		s.hear(&nats.Msg{Subject: b.subject(key), Header: heard, Data: value})
		rev, err = s.put(b.client.name, s.streams[bucketPrefix+b.name], b.subject(key), header, value, revision, "")
		return err
	})
	return rev, err
}

func (b *bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return b.put(ctx, key, value, nil, nil)
}

func (b *bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.put(ctx, key, value, nil, &revision)
}

func (b *bucket) Create(ctx context.Context, key string, value []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	none := uint64(0)
	rev, err := b.put(ctx, key, value, nil, &none)
	if err == nil || !errors.Is(err, errWrongSequence) {
		return rev, err
	}
	m, getErr := b.newest(ctx, key)
	if getErr == nil && m.header.Get(operation) != "" {
		return b.put(ctx, key, value, nil, &m.seq)
	}
	return 0, jetstream.ErrKeyExists
}

func (b *bucket) Delete(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	_, err := b.put(ctx, key, nil, nats.Header{operation: {"DEL"}}, deleteRevision(opts))
	return err
}

func (b *bucket) newest(ctx context.Context, key string) (m *message, err error) {
	s := b.client.server
	err = b.client.call(ctx, "get "+b.subject(key), func() error {
		if s.streams[bucketPrefix+b.name] == nil {
			return jetstream.ErrBucketNotFound
		}
		if m = s.streams[bucketPrefix+b.name].newest(b.subject(key)); m == nil {
			return jetstream.ErrKeyNotFound
		}
		return nil
	})
	return m, err
}

func (b *bucket) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	m, err := b.newest(ctx, key)
	if err != nil {
		return nil, err
	}
	if m.header.Get(operation) != "" {
		return nil, jetstream.ErrKeyNotFound
	}
	return entry{m: m, bucket: b.name, key: key}, nil
}

func (b *bucket) Keys(ctx context.Context, _ ...jetstream.WatchOpt) (keys []string, err error) {
	s := b.client.server
	err = b.client.call(ctx, "keys "+b.name, func() error {
		st := s.streams[bucketPrefix+b.name]
		if st == nil {
			return jetstream.ErrBucketNotFound
		}
		for subject := range st.bySubject {
			if m := st.newest(subject); m != nil && m.header.Get(operation) == "" {
				keys = append(keys, subject[len(b.subject("")):])
			}
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			return jetstream.ErrNoKeysFound
		}
		return nil
	})
	return keys, err
}

// lister gives keys that were read at once.
type lister chan string

func (l lister) Keys() <-chan string { return l }
func (l lister) Stop() error         { return nil }

func (b *bucket) ListKeys(ctx context.Context, _ ...jetstream.WatchOpt) (jetstream.KeyLister, error) {
	keys, err := b.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, err
	}
	l := make(lister, len(keys))
	for _, key := range keys {
		l <- key
	}
	close(l)
	return l, nil
}

type entry struct {
	m           *message
	bucket, key string
}

func (e entry) Bucket() string                  { return e.bucket }
func (e entry) Key() string                     { return e.key }
func (e entry) Value() []byte                   { return slices.Clone(e.m.data) }
func (e entry) Revision() uint64                { return e.m.seq }
func (e entry) Created() time.Time              { return e.m.at }
func (e entry) Delta() uint64                   { return 0 }
func (e entry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }
