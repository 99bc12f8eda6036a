package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// The archive is a gzipped tar: parts of streams (RTAP_EVENTS/000001.jsonl …), settings.json,
// config/…, and at the end manifest.json, which names all of them with their sums. Without
// that last one, or with another sum, it is no backup.
const (
	format       = 1
	manifestName = "manifest.json"
	settingsName = "settings.json"
	configFolder = "config/"
	suffix       = ".tar.gz"
	partial      = ".rtap-backup-" // what a backup is called while it is written
	partBytes    = 8 << 20
	// largest bounds what one part may take when it is read back.
	largest = 256 << 20
)

// Manifest says what a backup holds.
type Manifest struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Version string    `json:"rtap_version"`
	Server  string    `json:"nats_version"`
	LogID   string    `json:"log_id"`
	// Messages counts those of each stream, Finals the transcripts among them.
	Messages map[string]int `json:"messages"`
	Finals   int            `json:"finals"`
	Files    []File         `json:"files"`
}

// File is one part of the archive.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ErrDamaged is returned for a file that is no whole backup.
var ErrDamaged = errors.New("half-written or damaged")

// stream stands for standard output or input in place of a file.
const stream = "-"

// writer writes an archive that gets its name only when it is whole.
type writer struct {
	file     *os.File // nil for a stream, whose reader sees by the manifest that it is whole
	gz       *gzip.Writer
	tar      *tar.Writer
	manifest Manifest
}

func create(path string) (*writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, lifecycle.Usage(fmt.Errorf("making the folder of the backup: %w", err))
	}
	f, err := os.CreateTemp(filepath.Dir(path), partial+"*") // for its owner only
	if err != nil {
		return nil, lifecycle.Usage(fmt.Errorf("beginning the backup: %w", err))
	}
	w := to(f)
	w.file = f
	return w, nil
}

func to(out io.Writer) *writer {
	gz := gzip.NewWriter(out)
	return &writer{gz: gz, tar: tar.NewWriter(gz), manifest: Manifest{
		Format: format, Made: time.Now().UTC(), Messages: map[string]int{}, Files: []File{},
	}}
}

func (w *writer) add(name string, data []byte) error {
	sum := sha256.Sum256(data)
	w.manifest.Files = append(w.manifest.Files, File{name, int64(len(data)), hex.EncodeToString(sum[:])})
	return w.put(name, data)
}

func (w *writer) put(name string, data []byte) error {
	err := w.tar.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600, ModTime: w.manifest.Made, Format: tar.FormatPAX})
	if err == nil {
		_, err = w.tar.Write(data)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// finish writes the manifest, brings everything to the disk and gives the file its name.
func (w *writer) finish(path string) error {
	raw, err := json.MarshalIndent(w.manifest, "", "  ")
	if err == nil {
		err = w.put(manifestName, raw)
	}
	if err == nil {
		err = errors.Join(w.tar.Close(), w.gz.Close())
	}
	if err == nil && w.file != nil {
		if err = errors.Join(w.file.Sync(), w.file.Close()); err == nil {
			err = os.Rename(w.file.Name(), path)
		}
	}
	if err != nil {
		return fmt.Errorf("finishing the backup: %w", err)
	}
	return nil
}

// abandon removes what has no name yet.
func (w *writer) abandon() {
	if w.file == nil {
		return
	}
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// Check reads a whole backup and compares every sum; its error says in one line what is
// wrong and what to do.
func Check(path string) (*Manifest, error) {
	m, err := walk(path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is %w (%s): take another backup; `rtap restore FILE --check` looks at one", path, ErrDamaged, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return m, nil
}

// walk reads an archive from front to back, gives each part to visit, and compares the
// sums with the manifest at its end.
func walk(path string, visit func(name string, data []byte) error) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("it is no gzip file: %w", err)
	}
	archive := tar.NewReader(gz)
	var read []File
	var manifest *Manifest
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it ends too early: %w", err)
		}
		if manifest != nil {
			return nil, fmt.Errorf("%s stands behind the manifest", h.Name)
		}
		if h.Size > largest {
			return nil, fmt.Errorf("%s is too large", h.Name)
		}
		data := make([]byte, h.Size)
		if _, err := io.ReadFull(archive, data); err != nil {
			return nil, fmt.Errorf("%s ends too early: %w", h.Name, err)
		}
		if h.Name == manifestName {
			manifest = &Manifest{}
			if err := json.Unmarshal(data, manifest); err != nil {
				return nil, fmt.Errorf("its manifest cannot be read: %w", err)
			}
			continue
		}
		sum := sha256.Sum256(data)
		read = append(read, File{h.Name, h.Size, hex.EncodeToString(sum[:])})
		if visit != nil {
			if err := visit(h.Name, data); err != nil {
				return nil, err
			}
		}
	}
	// The sum of the whole stands behind the tar.
	if _, err := io.Copy(io.Discard, gz); err != nil {
		return nil, fmt.Errorf("it ends too early: %w", err)
	}
	return manifest, manifest.compare(read)
}

func (m *Manifest) compare(read []File) error {
	switch {
	case m == nil:
		return errors.New("it has no manifest at its end")
	case m.Format != format:
		return fmt.Errorf("it has format %d, this version reads %d", m.Format, format)
	case len(m.Files) != len(read):
		return fmt.Errorf("it holds %d parts, its manifest names %d", len(read), len(m.Files))
	}
	for i, f := range m.Files {
		if f != read[i] {
			return fmt.Errorf("the sum of %s is not the one in the manifest", f.Name)
		}
	}
	return nil
}

// spool keeps a stream in a file of its own, since all of it is checked before any of it is
// used.
func spool(in io.Reader) (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "rtap-restore-*"+suffix)
	if err != nil {
		return "", nil, fmt.Errorf("keeping the backup: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = io.Copy(f, in)
	if err = errors.Join(err, f.Close()); err != nil {
		remove()
		return "", nil, fmt.Errorf("keeping the backup in %s (TMPDIR): %w", os.TempDir(), err)
	}
	return f.Name(), remove, nil
}

// choose returns the file that a restore is to read: path itself, or the newest backup in
// the folder path.
func choose(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", lifecycle.Usage(fmt.Errorf("looking for the backup: %w", err))
	}
	if !st.IsDir() {
		return path, nil
	}
	newest, _, err := List(path)
	if err != nil {
		return "", lifecycle.Usage(err)
	}
	if len(newest) == 0 {
		return "", lifecycle.Usage(fmt.Errorf("there is no rtap-backup-*%s in %s", suffix, path))
	}
	return newest[0], nil
}

// List returns the backups in a folder, the newest first, and what interrupted ones left.
func List(dir string) (backups, leftovers []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for backups: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), partial):
			leftovers = append(leftovers, path)
		case strings.HasPrefix(e.Name(), "rtap-backup-") && strings.HasSuffix(e.Name(), suffix):
			backups = append([]string{path}, backups...) // names sort by time
		}
	}
	return backups, leftovers, nil
}

// lines splits a part into its records.
func lines(data []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}
