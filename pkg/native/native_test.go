package native_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/native"
	"golang.org/x/sys/unix"
)

const abcSum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

func TestVerify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := native.Verify(path, 3, abcSum); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("missing: %v", err)
	}
	for text, want := range map[string]string{
		"abc":  "",
		"ab":   "expected 3 bytes, found 2",
		"abd":  "expected SHA-256 " + abcSum + ", found",
		"abcd": "found 4",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := native.Verify(path, 3, abcSum)
		if want == "" && err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if want != "" && (!errors.Is(err, native.ErrSum) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestLocateUnknown(t *testing.T) {
	if _, err := native.Locate("no-such-thing"); err == nil || !strings.Contains(err.Error(), "not in the manifest") {
		t.Errorf("got %v", err)
	}
}

// TestUnreadableFileSaysSo, as another user where this one may read everything.
func TestUnreadableFileSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(path, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // which alone is another user for a while
	before, err := unix.SetfsuidRetUid(65534)
	if err != nil {
		t.Fatal(err)
	}
	err = native.Verify(path, 1, "")
	if _, restored := unix.SetfsuidRetUid(before); restored != nil {
		t.Fatal(restored)
	}
	runtime.UnlockOSThread()
	want := "permission denied: run `chmod -R a+rX " + dir
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
