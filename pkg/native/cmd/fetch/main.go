// Command fetch brings the files of third_party/manifest.json: through the npm client's
// registry, resumable, checked by SHA-256 before anything is put in place.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/download"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/native"
	"golang.org/x/sys/unix"
)

func main() { os.Exit(lifecycle.Main("fetch", "dev", run)) }

func run(ctx context.Context, env lifecycle.Env) error {
	root, err := native.Root()
	if err != nil {
		return err
	}
	m, err := native.ReadManifest(root)
	if err != nil {
		return err
	}
	for _, a := range m.Archives {
		if err := archive(ctx, env, root, a); err != nil {
			return fmt.Errorf("%s %s: %w", a.NPM, a.Version, err)
		}
	}
	return nil
}

// archive fetches a when one of its files is missing or wrong.
func archive(ctx context.Context, env lifecycle.Env, root string, a native.Archive) error {
	var want []native.File
	for _, f := range a.Files {
		if !f.Wanted() {
			continue
		}
		switch err := native.Check(root, f); {
		case err == nil:
		case errors.Is(err, native.ErrSum):
			fmt.Fprintf(env.Stderr, "%v; fetching it again\n", err)
			want = append(want, f)
		default:
			want = append(want, f)
		}
	}
	if len(want) == 0 {
		return nil
	}
	dir := filepath.Join(root, "downloads")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the downloads folder: %w", err)
	}
	if err := room(dir, a.Size, root, want); err != nil {
		return err
	}
	name := strings.NewReplacer("@", "", "/", "-").Replace(a.NPM) + "-" + a.Version + ".tgz"
	path := filepath.Join(dir, name)
	if native.Verify(path, a.Size, a.SHA256) != nil {
		if err := get(ctx, env, a, path); err != nil {
			return err
		}
		if err := native.Verify(path, a.Size, a.SHA256); err != nil {
			_ = os.Remove(path)
			return fmt.Errorf("the download is not what third_party/manifest.json pins, and was removed"+
				" (run again; if it stays so, look at the registry that npm is set to): %w", err)
		}
	}
	for _, f := range want {
		put := extract
		if f.Tree {
			put = extractTree
		}
		if err := put(path, f, native.Place(root, f)); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		fmt.Fprintf(env.Stderr, "  %s\n", native.Place(root, f))
	}
	return os.Remove(path)
}

// room checks the disks of the archive and of each file, before anything is written.
// On one disk both are needed at once.
func room(downloads string, archive int64, root string, files []native.File) error {
	type disk struct {
		dir        string
		free, need int64
	}
	disks := map[uint64]*disk{}
	add := func(dir string, size int64) error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
		var at unix.Stat_t
		if err := unix.Stat(dir, &at); err != nil {
			return fmt.Errorf("checking the disk of %s: %w", dir, err)
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			return fmt.Errorf("checking the disk of %s: %w", dir, err)
		}
		if disks[at.Dev] == nil {
			disks[at.Dev] = &disk{dir: dir, free: int64(fs.Bavail) * fs.Bsize}
		}
		disks[at.Dev].need += size
		return nil
	}
	if err := add(downloads, archive); err != nil {
		return err
	}
	for _, f := range files {
		if err := add(filepath.Dir(native.Place(root, f)), f.Size); err != nil {
			return err
		}
	}
	for _, d := range disks {
		if d.free < d.need {
			return fmt.Errorf("%s has %d MB free, %d MB are needed", d.dir, d.free>>20, d.need>>20+1)
		}
	}
	return nil
}

// get brings the archive to path. The address comes from the user's npm client, so that
// mirrors set there hold here; where plain HTTP does not get through (a proxy or a token
// that only npm knows), npm fetches the archive itself.
func get(ctx context.Context, env lifecycle.Env, a native.Archive, path string) error {
	url, err := npm(ctx, "", "view", a.NPM+"@"+a.Version, "dist.tarball")
	if err != nil {
		return err
	}
	direct := download.File(ctx, download.Request{
		URL: url, Path: path, Name: a.NPM, Size: a.Size,
		Attempts: 5, Backoff: time.Second, Stall: 30 * time.Second, Progress: env.Stderr,
	})
	if direct == nil || ctx.Err() != nil {
		return direct
	}
	fmt.Fprintf(env.Stderr, "%s: %v; trying npm pack\n", a.NPM, direct)
	// A folder of its own: npm names the file as it likes.
	dir, err := os.MkdirTemp(filepath.Dir(path), "pack-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := npm(ctx, dir, "pack", "--silent", a.NPM+"@"+a.Version); err != nil {
		return errors.Join(direct, err)
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return errors.Join(direct, fmt.Errorf("npm pack left %d archives", len(packed)))
	}
	if err := os.Rename(packed[0], path); err != nil {
		return fmt.Errorf("putting the archive in place: %w", err)
	}
	_ = os.Remove(path + ".part") // what plain HTTP had left; absent when it got nothing
	return nil
}

// npm runs the client in dir and returns what it prints; its own words are in the error.
func npm(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "npm", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("npm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("npm %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
