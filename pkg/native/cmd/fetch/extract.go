package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/onnx/edit"
)

func extract(archive string, want native.File, dest string) error {
	found := false
	err := entries(archive, func(h *tar.Header, r io.Reader) error {
		if h.Name != want.Path {
			return nil
		}
		found = true
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if data, err = transform(want.Transform, data); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
			return err
		}
		tmp := dest + ".new"
		if err := os.WriteFile(tmp, data, 0o644); err != nil {
			return err
		}
		if err := native.Verify(tmp, want.Size, want.SHA256); err != nil {
			_ = os.Remove(tmp)
			return err
		}
		return os.Rename(tmp, dest)
	})
	if err == nil && !found {
		err = errors.New("it is not in the archive")
	}
	return err
}

// extractTree puts every file below want.Path into a new folder dest, and in it the sum of
// the archive that it came from.
func extractTree(archive string, want native.File, dest string) error {
	tmp := dest + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(tmp) // names that lead out of the folder are refused
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = entries(archive, func(h *tar.Header, r io.Reader) error {
		name, below := strings.CutPrefix(h.Name, want.Path)
		if !below || h.Typeflag != tar.TypeReg {
			return nil
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, h.FileInfo().Mode().Perm()|0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	})
	if err != nil {
		return err
	}
	if err := root.WriteFile(native.TreeStamp, []byte(want.SHA256+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(dest); err != nil {
		return err
	}
	return os.Rename(tmp, dest)
}

// entries calls take with every entry of a .tgz file.
func entries(archive string, take func(*tar.Header, io.Reader) error) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	zr, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("looking in the archive: %w", err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking in the archive: %w", err)
		}
		if err := take(h, tr); err != nil {
			return err
		}
	}
}

var vocabulary = regexp.MustCompile(`llama_vocab_base64 = "([A-Za-z0-9+/=]+)"`)

// transform turns a file of the archive into what is used here.
func transform(how string, data []byte) ([]byte, error) {
	switch how {
	case "":
		return data, nil
	case "llama-vocabulary":
		// One piece a line; the line number is the token id.
		m := vocabulary.FindSubmatch(data)
		if m == nil {
			return nil, errors.New("the vocabulary is not where it was")
		}
		return base64.StdEncoding.DecodeString(string(m[1]))
	case "offline-redoc":
		// The two logos are all that it would ask of its makers' host; without them it shows none.
		out := data
		for _, logo := range []string{"https://cdn.redoc.ly/redoc/logo-mini-full.svg", "https://cdn.redoc.ly/redoc/logo-mini.svg"} {
			if !bytes.Contains(out, []byte(logo)) {
				return nil, fmt.Errorf("%s is not where it was", logo)
			}
			out = bytes.ReplaceAll(out, []byte(logo), []byte("data:,"))
		}
		return out, nil
	case "moonshine-decoder":
		return edit.MoonshineDecoder(data)
	case "moonshine-encoder":
		return edit.MoonshineEncoder(data)
	default:
		return nil, fmt.Errorf("unknown transform %q", how)
	}
}
