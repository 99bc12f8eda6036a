package models

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/native"
)

func (c *command) verify(context.Context) error {
	args, err := c.parse("verify", nil)
	if err != nil {
		return err
	}
	var bad []error
	if len(args) == 0 {
		for i := range c.catalogue.Entries {
			if _, err := c.verifyEntry(&c.catalogue.Entries[i], false); err != nil {
				bad = append(bad, err)
			}
		}
		return errors.Join(bad...)
	}
	for _, arg := range args {
		if models.IsPath(arg) {
			m, err := ggml.Check(arg)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			c.whole(arg, m)
			continue
		}
		e, err := c.catalogue.Find(arg)
		if err != nil {
			return lifecycle.Usage(err)
		}
		found, err := c.verifyEntry(e, true)
		if err == nil && !found {
			err = fmt.Errorf("model %s %w: run `rtap models pull %s`", e.Name, models.ErrAbsent, e.Name)
		}
		bad = append(bad, err)
	}
	return errors.Join(bad...)
}

// verifyEntry checks what is here of an entry; false when nothing is. Pinned files that are
// not here are a fault of an entry that was named.
func (c *command) verifyEntry(e *models.Entry, named bool) (found bool, err error) {
	forms, _ := c.catalogue.Present(e)
	var bad []error
	for _, f := range forms {
		m, err := c.catalogue.Verify(e, f)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		c.whole(c.catalogue.Place(f), m)
	}
	for _, name := range e.Pinned {
		path, err := native.Locate(name)
		if !named && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		fmt.Fprintf(c.env.Stdout, "%s: whole: the pinned file\n", path)
	}
	return len(forms)+len(e.Pinned) > 0, errors.Join(bad...)
}

func (c *command) whole(path string, m *ggml.Model) {
	languages := "English only"
	if n := m.Header.Languages(); n > 1 {
		languages = fmt.Sprintf("%d languages", n)
	}
	fmt.Fprintf(c.env.Stdout, "%s: whole: %s, %s, %s, %d + %d layers of %d, %d tensors\n",
		path, megabytes(m.Size), m.Header.Dtype(), languages, m.Header.AudioLayers, m.Header.TextLayers, m.Header.AudioState, m.Tensors)
}

func (c *command) remove(context.Context) error {
	dtype := ""
	args, err := c.parse("remove", func(fs *flag.FlagSet) { fs.StringVar(&dtype, "dtype", "", "only this form") })
	if err != nil {
		return err
	}
	e, err := c.one("remove", args)
	if err != nil {
		return err
	}
	if len(e.Pinned) > 0 {
		return lifecycle.Usage(fmt.Errorf("%s comes with `make deps` and is what RTAP falls back on; it stays", e.Name))
	}
	forms := e.Forms
	if dtype != "" {
		f, err := e.Form(dtype)
		if err != nil {
			return lifecycle.Usage(err)
		}
		forms = []models.Form{f}
	}
	var freed int64
	for _, f := range forms {
		n, err := c.catalogue.Delete(f)
		if err != nil {
			return err
		}
		freed += n
	}
	forgotten := false
	if dtype == "" && c.catalogue.User != "" {
		if forgotten, err = c.catalogue.Forget(e.Name); err != nil {
			return err
		}
	}
	if freed == 0 && !forgotten {
		return fmt.Errorf("nothing of %s is in %s", e.Name, c.catalogue.Dir)
	}
	fmt.Fprintf(c.env.Stdout, "removed %s: %s freed\n", e.Name, megabytes(freed))
	return nil
}
