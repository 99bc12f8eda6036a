// Package native finds the native parts and models that `make deps` brings, and checks
// them against their pinned sums before any C code reads them.
package native

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// ErrSum is wrapped by errors about a file that is not what the manifest pins.
var ErrSum = errors.New("is not the pinned file")

// Manifest is third_party/manifest.json.
type Manifest struct {
	Archives []Archive `json:"archives"`
}

// Archive is one package of a registry.
type Archive struct {
	NPM     string `json:"npm"`
	Version string `json:"version"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Licence string `json:"licence"`
	Files   []File `json:"files"`
}

// File is one file, or with Tree one folder, out of an archive. Dest is relative to the
// third-party folder. Of a folder the archive's sum is what is pinned.
type File struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	Dest      string `json:"dest"`
	Arch      string `json:"arch,omitempty"`
	Transform string `json:"transform,omitempty"`
	Tree      bool   `json:"tree,omitempty"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// Wanted says whether this machine needs the file.
func (f File) Wanted() bool { return f.Arch == "" || f.Arch == runtime.GOARCH }

// Root returns the third-party folder: RTAP_THIRD_PARTY, or the one beside the
// executable's folder, or the nearest one above the working directory.
func Root() (string, error) {
	if dir := os.Getenv("RTAP_THIRD_PARTY"); dir != "" {
		return dir, nil
	}
	var candidates []string
	if exe, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(exe), "..", "third_party"))
	}
	dir, err := os.Getwd()
	for err == nil {
		candidates = append(candidates, filepath.Join(dir, "third_party"))
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	for _, c := range candidates {
		if _, err := os.Stat(filepath.Join(c, "manifest.json")); err == nil {
			return filepath.Clean(c), nil
		}
	}
	return "", errors.New("third_party/manifest.json not found: run from the repository or set RTAP_THIRD_PARTY")
}

// ReadManifest reads root's manifest.
func ReadManifest(root string) (*Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(root, "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	return m, nil
}

// Place returns where f lies under root; models move with RTAP_MODELS_DIR.
func Place(root string, f File) string {
	if dir := os.Getenv("RTAP_MODELS_DIR"); dir != "" {
		if rest, ok := strings.CutPrefix(f.Dest, "models/"); ok {
			return filepath.Join(dir, rest)
		}
	}
	return filepath.Join(root, f.Dest)
}

var verified sync.Map // path → struct{}: sums are taken once per process

// Locate returns the path of a pinned file after checking its size and sum.
func Locate(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	m, err := ReadManifest(root)
	if err != nil {
		return "", err
	}
	for _, a := range m.Archives {
		for _, f := range a.Files {
			if f.Name != name || f.Tree || !f.Wanted() {
				continue
			}
			path := Place(root, f)
			if _, ok := verified.Load(path); ok {
				return path, nil
			}
			if err := Verify(path, f.Size, f.SHA256); err != nil {
				return "", err
			}
			verified.Store(path, struct{}{})
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in the manifest for %s", name, runtime.GOARCH)
}

// TreeStamp is the file in an extracted folder that holds its archive's sum.
const TreeStamp = ".archive"

// Check says what is wrong with f's place under root; nil when it is as pinned.
func Check(root string, f File) error {
	path := Place(root, f)
	if !f.Tree {
		return Verify(path, f.Size, f.SHA256)
	}
	stamp, err := os.ReadFile(filepath.Join(path, TreeStamp))
	if err != nil {
		return advise(err)
	}
	if strings.TrimSpace(string(stamp)) != f.SHA256 {
		return fmt.Errorf("%s %w: it is of another version: %s", path, ErrSum, wayOut)
	}
	return nil
}

// wayOut is for whoever lacks a file. Containers have all of them, unless a folder or volume
// that is mounted over theirs lacks some.
const wayOut = "run `make deps`; in a container, mount the volume or folder that has it"

// advise says what to do about a file that cannot be read.
func advise(err error) error {
	var path *fs.PathError
	if errors.Is(err, fs.ErrPermission) && errors.As(err, &path) {
		return fmt.Errorf("%w: run `chmod -R a+rX %s`, or whatever lets this user read it", err, filepath.Dir(path.Path))
	}
	return fmt.Errorf("%w: %s", err, wayOut)
}

// Verify checks a file's size and SHA-256.
func Verify(path string, size int64, sum string) error {
	st, err := os.Stat(path)
	if err != nil {
		return advise(err)
	}
	if st.Size() != size {
		return fmt.Errorf("%s %w: expected %d bytes, found %d: %s", path, ErrSum, size, st.Size(), wayOut)
	}
	found, err := Sum(path)
	if err != nil {
		return advise(err)
	}
	if found != sum {
		return fmt.Errorf("%s %w: expected SHA-256 %s, found %s: %s", path, ErrSum, sum, found, wayOut)
	}
	return nil
}

// Sum returns a file's SHA-256 in hexadecimal.
func Sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checking: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("checking %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
