package help

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// Flag is one flag of a command.
type Flag struct {
	Name string `json:"name"`
	// Value is what the value is called, for example "file"; empty for a switch.
	Value string `json:"value"`
	Usage string `json:"usage"`
	// Default is the value without the flag; empty where there is nothing to say.
	Default string `json:"default"`
}

// Flags lists those of fs in alphabetical order.
func Flags(fs *flag.FlagSet) []Flag {
	var out []Flag
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			value = ""
		}
		found := Flag{Name: f.Name, Value: value, Usage: usage}
		switch f.DefValue {
		case "", "false", "0", "0s":
		default:
			if !strings.Contains(usage, "default") {
				found.Default = f.DefValue
			}
		}
		out = append(out, found)
	})
	return out
}

// column is where explanations begin.
const column = 26

func (f Flag) print(w io.Writer) {
	left := "  --" + f.Name
	if f.Value != "" {
		left += " " + strings.ToUpper(f.Value)
	}
	right := f.Usage
	if f.Default != "" {
		right += " (default " + f.Default + ")"
	}
	if len(left) >= column-1 {
		fmt.Fprintf(w, "%s\n%*s%s\n", left, column, "", right)
		return
	}
	fmt.Fprintf(w, "%-*s%s\n", column, left, right)
}
