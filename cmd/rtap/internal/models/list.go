package models

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/rtap/rtap/pkg/models"
)

// listed is one line of `rtap models list --json`.
type listed struct {
	Name       string       `json:"name"`
	Engine     string       `json:"engine"`
	About      string       `json:"about"`
	Languages  []string     `json:"languages"`
	Tasks      []string     `json:"tasks"`
	Licence    string       `json:"licence"`
	HangoverMS int          `json:"hangover_ms"`
	Here       bool         `json:"here"`
	Forms      []listedForm `json:"forms"`
}

type listedForm struct {
	Dtype string `json:"dtype"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Here  bool   `json:"here"`
}

func (c *command) list(context.Context) error {
	asJSON := false
	if _, err := c.parse("list", func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "as JSON") }); err != nil {
		return err
	}
	all := []listed{}
	for i := range c.catalogue.Entries {
		all = append(all, c.describe(&c.catalogue.Entries[i]))
	}
	if asJSON {
		enc := json.NewEncoder(c.env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		return nil
	}
	w := tabwriter.NewWriter(c.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tMODEL\tFORMS (* here)\tSIZE\tLANGUAGES\tLICENCE\tABOUT")
	for _, l := range all {
		mark, forms, size := "", []string{"int8"}, "with make deps"
		if l.Here {
			mark = "*"
		}
		if len(l.Forms) > 0 {
			forms, size = nil, sizes(l.Forms)
		} else if l.Here {
			forms = []string{"int8*"}
		}
		for _, f := range l.Forms {
			name := f.Dtype
			if f.Here {
				name += "*"
			}
			forms = append(forms, name)
		}
		languages := strings.Join(l.Languages, " ")
		if len(l.Languages) > 4 {
			languages = fmt.Sprint(len(l.Languages))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, l.Name, strings.Join(forms, " "), size, languages, l.Licence, l.About)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	strangers, err := c.catalogue.Strangers()
	if err != nil {
		return err
	}
	for _, path := range strangers {
		fmt.Fprintf(c.env.Stdout, "%s: in no catalogue; use it by its path\n", path)
	}
	fmt.Fprintf(c.env.Stdout, "models folder: %s\n", c.catalogue.Dir)
	return nil
}

func (c *command) describe(e *models.Entry) listed {
	here, pinned := c.catalogue.Present(e)
	l := listed{
		Name: e.Name, Engine: e.Engine, About: e.About, Languages: e.Languages, Tasks: e.Tasks, Licence: e.Licence,
		HangoverMS: e.HangoverMS, Here: pinned || len(here) > 0, Forms: []listedForm{},
	}
	for _, f := range e.Forms {
		l.Forms = append(l.Forms, listedForm{f.Dtype, c.catalogue.Place(f), f.Size, slices.Contains(here, f)})
	}
	return l
}

// sizes is the range of the forms' sizes.
func sizes(forms []listedForm) string {
	least, most := forms[0].Bytes, forms[0].Bytes
	for _, f := range forms {
		least, most = min(least, f.Bytes), max(most, f.Bytes)
	}
	if least == most {
		return megabytes(most)
	}
	return fmt.Sprintf("%d-%s", (least+1<<20-1)>>20, megabytes(most))
}
