package arguments_test

import (
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/lifecycle"
)

func TestParse(t *testing.T) {
	for line, tt := range map[string]struct {
		others []string
		n      int
		code   int
	}{
		"a --n 3 b":  {[]string{"a", "b"}, 3, lifecycle.ExitOK},
		"--n 3 a":    {[]string{"a"}, 3, lifecycle.ExitOK},
		"a b --n=3":  {[]string{"a", "b"}, 3, lifecycle.ExitOK},
		"":           {nil, 0, lifecycle.ExitOK},
		"a --nope":   {nil, 0, lifecycle.ExitUsage},
		"a -h":       {nil, 0, lifecycle.ExitOK},
		"--n many a": {nil, 0, lifecycle.ExitUsage},
	} {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		n := fs.Int("n", 0, "")
		others, err := arguments.Parse(fs, strings.Fields(line))
		if !slices.Equal(others, tt.others) || *n != tt.n || lifecycle.Code(err) != tt.code {
			t.Errorf("%q: %q, n %d, %v", line, others, *n, err)
		}
	}
}
