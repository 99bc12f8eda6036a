// Command fetch brings the files of third_party/manifest.json: through the npm client's
// registry, resumable, checked by SHA-256 before anything is put in place.
package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

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
		switch err := native.Verify(native.Place(root, f), f.Size, f.SHA256); {
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
	if err := room(root, 2*a.Size); err != nil {
		return err
	}
	dir := filepath.Join(root, "downloads")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := strings.NewReplacer("@", "", "/", "-").Replace(a.NPM) + "-" + a.Version + ".tgz"
	path := filepath.Join(dir, name)
	if native.Verify(path, a.Size, a.SHA256) != nil {
		if err := download(ctx, env, a, path); err != nil {
			return err
		}
		if err := native.Verify(path, a.Size, a.SHA256); err != nil {
			_ = os.Remove(path)
			return err
		}
	}
	for _, f := range want {
		if err := extract(path, f, native.Place(root, f)); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		fmt.Fprintf(env.Stderr, "  %s\n", native.Place(root, f))
	}
	return os.Remove(path)
}

func room(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("checking the disk: %w", err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Errorf("%s has %d MB free, %d MB are needed", dir, free>>20, need>>20)
	}
	return nil
}

// download goes on where an earlier attempt stopped. The address comes from the user's
// npm client, so that mirrors and proxies set there hold here.
func download(ctx context.Context, env lifecycle.Env, a native.Archive, path string) error {
	cmd := exec.CommandContext(ctx, "npm", "view", a.NPM+"@"+a.Version, "dist.tarball")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("asking npm for the address: %w", err)
	}
	url := strings.TrimSpace(string(out))
	const attempts = 5
	for n := 1; ; n++ {
		err = piece(ctx, env, url, a, path+".part")
		if err == nil {
			return os.Rename(path+".part", path)
		}
		if n == attempts || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "\n%s: %v; going on in %d s\n", a.NPM, err, n)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(n) * time.Second):
		}
	}
}

func piece(ctx context.Context, env lifecycle.Env, url string, a native.Archive, part string) error {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if at == a.Size {
		return nil
	}
	if at > a.Size {
		at = 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		at = 0
	default:
		return fmt.Errorf("the server answers %s", res.Status)
	}
	if err := f.Truncate(at); err != nil {
		return err
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	p := &progress{w: env.Stderr, name: a.NPM, done: at, total: a.Size}
	if _, err := io.Copy(f, io.TeeReader(res.Body, p)); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", p.done, a.Size, err)
	}
	p.show("\n")
	return f.Close()
}

// progress rewrites one line on a terminal and prints one every few seconds elsewhere.
type progress struct {
	w           io.Writer
	name        string
	done, total int64
	last        time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	end, every := "\r", 200*time.Millisecond
	if f, ok := p.w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice == 0 {
			end, every = "\n", 5*time.Second
		}
	}
	if time.Since(p.last) >= every {
		p.last = time.Now()
		p.show(end)
	}
	return len(b), nil
}

func (p *progress) show(end string) {
	fmt.Fprintf(p.w, "%-28s %4d of %4d MB %3d %%%s", p.name, p.done>>20, p.total>>20, 100*p.done/max(1, p.total), end)
}

func extract(archive string, want native.File, dest string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	zr, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if err != nil {
			return fmt.Errorf("looking in the archive: %w", err)
		}
		if h.Name != want.Path {
			continue
		}
		data, err := io.ReadAll(tr)
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
	default:
		return nil, fmt.Errorf("unknown transform %q", how)
	}
}
