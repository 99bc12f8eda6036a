package models

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
)

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// importFolder makes a user's own model one of the catalogue.
func (c *command) importFolder(ctx context.Context) error {
	name, dtype, languages, licence := "", "f16", "", "not stated"
	args, err := c.parse("import", func(fs *flag.FlagSet) {
		fs.StringVar(&name, "name", "", "what stt.model will call it; the folder's name by default")
		fs.StringVar(&dtype, "quantize", "f16", "q8_0 or q5_1: store its weights in fewer bits")
		fs.StringVar(&languages, "languages", "", "codes of the languages it knows, with commas; by default what its vocabulary says")
		fs.StringVar(&licence, "licence", licence, "its licence")
	})
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return lifecycle.Usage(fmt.Errorf("rtap models import: want one folder, not %q", args))
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return lifecycle.Usage(err)
	}
	st, err := os.Stat(filepath.Join(dir, "model.bin"))
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("%s is not a folder with a CTranslate2 model (a model.bin beside a vocabulary): %w", args[0], err))
	}
	if name == "" {
		name = strings.Trim(notInNames.ReplaceAllString(filepath.Base(dir), "-"), "-.")
	}
	if c.builtIn(name) {
		return lifecycle.Usage(fmt.Errorf("%q is a model of RTAP's own: choose another with --name", name))
	}
	if dtype != "f16" && !ggml.Quantisable(dtype) {
		return lifecycle.Usage(fmt.Errorf("--quantize %s: want q8_0, q5_1, q5_0, q4_1 or q4_0", dtype))
	}
	f := models.Form{Dtype: dtype, File: "ggml-" + name + "-" + dtype + ".bin"}
	e := models.Entry{
		Name: name, Engine: models.EngineWhisper, About: "imported", Licence: licence,
		Languages: []string{"en"}, Tasks: []string{models.TaskTranscribe}, HangoverMS: models.WhisperHangoverMS, TailMS: models.WhisperTailMS,
		Forms: []models.Form{f},
	}
	if err := e.Validate(); err != nil {
		return lifecycle.Usage(fmt.Errorf("--name %s: %w", name, err))
	}
	if err := room(c.catalogue.Dir, 3*st.Size()); err != nil {
		return err
	}
	if err := os.MkdirAll(c.catalogue.Dir, 0o755); err != nil {
		return fmt.Errorf("making the models folder: %w", err)
	}
	if err := c.convert(ctx, dir, f); err != nil {
		return err
	}
	m, err := ggml.Check(c.catalogue.Place(f))
	if err != nil {
		return err
	}
	e.Forms[0].Size = m.Size
	if n := m.Header.Languages(); n > 1 {
		e.Languages, e.Tasks = []string{fmt.Sprint("whisper-", min(n, 100))}, []string{models.TaskTranscribe, models.TaskTranslate}
	}
	if languages != "" {
		e.Languages = strings.FieldsFunc(languages, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if err := c.catalogue.Add(e); err != nil {
		_, freeErr := c.catalogue.Delete(f)
		return errors.Join(err, freeErr)
	}
	c.whole(c.catalogue.Place(f), m)
	fmt.Fprintf(c.env.Stdout, "use it: rtap up --set stt.model=%s\n", name)
	return nil
}

// builtIn says whether a name belongs to the catalogue and not to the user.
func (c *command) builtIn(name string) bool {
	_, err := c.catalogue.Find(name)
	return err == nil && !c.catalogue.IsUsers(name)
}
