package arguments

import (
	"context"
	"fmt"
	"strings"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// Sub is a command below another one, such as `rtap config set`.
type Sub struct {
	Name string
	Run  lifecycle.App
}

// Subs are all commands below one, in the order of its page. That each has a page of its own
// is tested where the commands are listed.
type Subs []Sub

// Run runs the one that the first argument names, with the arguments behind it. of is the
// command that they are below, "rtap config".
func (s Subs) Run(ctx context.Context, env lifecycle.Env, of string) error {
	name := ""
	if len(env.Args) > 0 {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	for _, sub := range s {
		if sub.Name == name {
			return sub.Run(ctx, env)
		}
	}
	names := s.Names()
	last := len(names) - 1
	return lifecycle.Usage(fmt.Errorf("%s %q: want %s or %s", of, name, strings.Join(names[:last], ", "), names[last]))
}

// Names lists them.
func (s Subs) Names() []string {
	var out []string
	for _, sub := range s {
		out = append(out, sub.Name)
	}
	return out
}
