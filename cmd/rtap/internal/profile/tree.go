package profile

import (
	"cmp"
	"fmt"
	"slices"

	pprof "github.com/google/pprof/profile"
)

// frame is a function at one place of the call tree. The root stands for all processes,
// those below it for one process each.
type frame struct {
	name, where string // function, file:line
	total, self int64
	children    []*frame // by what they cost, the most first
	byName      map[string]*frame
	unit        string // of the root: nanoseconds, bytes or count
}

func (f *frame) child(name, where string) *frame {
	c := f.byName[name]
	if c == nil {
		c = &frame{name: name, where: where, byName: map[string]*frame{}}
		if f.byName == nil {
			f.byName = map[string]*frame{}
		}
		f.byName[name] = c
		f.children = append(f.children, c)
	}
	return c
}

// tree joins profiles; value names which of a sample's values counts.
func tree(all []taken, value string) (root *frame, unit string) {
	root = &frame{name: "all processes"}
	for _, t := range all {
		if t.err != nil {
			continue
		}
		at := slices.IndexFunc(t.profile.SampleType, func(v *pprof.ValueType) bool { return v.Type == value })
		if at < 0 {
			continue
		}
		unit = t.profile.SampleType[at].Unit
		process := root.child(t.name, "")
		for _, s := range t.profile.Sample {
			if n := s.Value[at]; n != 0 {
				root.total += n
				process.total += n
				process.add(s.Location, n)
			}
		}
	}
	root.sort()
	return root, unit
}

// add walks a stack from its outermost function inwards.
func (f *frame) add(stack []*pprof.Location, n int64) {
	at := f
	for _, loc := range slices.Backward(stack) {
		if len(loc.Line) == 0 {
			at = at.child(fmt.Sprintf("0x%x", loc.Address), "")
			at.total += n
		}
		for _, line := range slices.Backward(loc.Line) { // inlined functions
			name, where := "unknown", ""
			if line.Function != nil {
				name, where = line.Function.Name, fmt.Sprintf("%s:%d", line.Function.Filename, line.Line)
			}
			at = at.child(name, where)
			at.total += n
		}
	}
	at.self += n
}

func (f *frame) sort() {
	slices.SortFunc(f.children, func(a, b *frame) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.name, b.name))
	})
	for _, c := range f.children {
		c.sort()
	}
}

// row is a function wherever it stands in the tree.
type row struct {
	name        string
	self, total int64
}

// functions adds up the tree by function; one that calls itself counts once.
func (f *frame) functions() []row {
	rows := map[string]*row{}
	above := map[string]int{}
	var walk func(*frame)
	walk = func(f *frame) {
		r := rows[f.name]
		if r == nil {
			r = &row{name: f.name}
			rows[f.name] = r
		}
		r.self += f.self
		if above[f.name] == 0 {
			r.total += f.total
		}
		above[f.name]++
		for _, c := range f.children {
			walk(c)
		}
		above[f.name]--
	}
	for _, process := range f.children {
		for _, c := range process.children {
			walk(c)
		}
	}
	var out []row
	for _, r := range rows {
		out = append(out, *r)
	}
	return out
}
