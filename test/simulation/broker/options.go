package broker

import (
	"reflect"

	"github.com/nats-io/nats.go/jetstream"
)

// The client library's options are functions on structs of its own. Reading those needs
// reflection; a field that is not there any more panics, so nothing is passed over.

// settings applies options to a struct of the type that they take.
func settings[T any](opts []T) (reflect.Value, bool) {
	if len(opts) == 0 {
		return reflect.Value{}, false
	}
	o := reflect.New(reflect.TypeOf(opts[0]).In(0).Elem())
	for _, opt := range opts {
		if err := reflect.ValueOf(opt).Call([]reflect.Value{o})[0]; !err.IsNil() {
			panic(err.Interface())
		}
	}
	return o.Elem(), true
}

func publishOptions(opts []jetstream.PublishOpt) (expected *uint64, id string) {
	o, ok := settings(opts)
	if !ok {
		return nil, ""
	}
	if !o.FieldByName("lastSeq").IsNil() || o.FieldByName("lastMsgID").String() != "" {
		panic("a condition that the broker does not know")
	}
	if p := o.FieldByName("lastSubjectSeq"); !p.IsNil() {
		n := p.Elem().Uint()
		expected = &n
	}
	return expected, o.FieldByName("id").String()
}

func infoFilter(opts []jetstream.StreamInfoOpt) string {
	o, ok := settings(opts)
	if !ok {
		return ""
	}
	return o.FieldByName("SubjectFilter").String()
}

// nextFor is the subject whose next message is asked for.
func nextFor(opts []jetstream.GetMsgOpt) string {
	o, ok := settings(opts)
	if !ok {
		return ""
	}
	return o.FieldByName("NextFor").String()
}

// deleteRevision returns the revision that a deletion asks for; nil for none.
func deleteRevision(opts []jetstream.KVDeleteOpt) *uint64 {
	for _, opt := range opts {
		f := reflect.ValueOf(opt) // a function on the library's struct
		o := reflect.New(f.Type().In(0).Elem())
		f.Call([]reflect.Value{o})
		if n := o.Elem().FieldByName("revision").Uint(); n > 0 {
			return &n
		}
	}
	return nil
}
