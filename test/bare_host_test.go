package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// TestSystemdReadsTheUnits lets systemd itself look at deploy/systemd, as it would lie on a
// host, with stand-ins for the programs and for the system's own units.
func TestSystemdReadsTheUnits(t *testing.T) {
	program, err := exec.LookPath("systemd-analyze") //nolint:misspell // its name
	testkit.RequireNative(t, err)
	shipped, root := filepath.Join(testkit.Root(t), "deploy", "systemd"), t.TempDir()
	installed := filepath.Join(root, "etc/systemd/system")
	if err := os.CopyFS(installed, os.DirFS(shipped)); err != nil {
		t.Fatal(err)
	}
	put := func(path, content string, mode os.FileMode) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"opt/rtap/bin/rtap-capture", "opt/rtap/bin/rtap-vad", "opt/rtap/bin/rtap-stt", "opt/rtap/bin/rtap-egress", "usr/local/bin/nats-server", "bin/kill"} {
		put(program, "#!/bin/sh\n", 0o755)
	}
	for _, target := range []string{"sysinit", "basic", "shutdown", "multi-user", "network", "network-online", "umount"} {
		put("usr/lib/systemd/system/"+target+".target", "[Unit]\nDescription="+target+"\n", 0o644)
	}
	paths, err := filepath.Glob(filepath.Join(shipped, "rtap*.*"))
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, path := range paths {
		if name := filepath.Base(path); !strings.HasSuffix(name, ".d") {
			units = append(units, strings.ReplaceAll(name, "@.", "@1."))
		}
	}
	if len(units) < 7 {
		t.Fatal("units:", units)
	}
	verify := func() string {
		// The code is 0 where a line was only passed over; what it says is what counts.
		out, err := exec.CommandContext(t.Context(), program, append([]string{"verify", "--man=no", "--root=" + root}, units...)...).CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%v\n%s", err, out)
		}
		return string(out)
	}
	if said := verify(); said != "" {
		t.Errorf("systemd finds: %s", said)
	}
	wanted := strings.Fields(strings.Join(settings(t, filepath.Join(shipped, "rtap.target"))["Wants"], " "))
	for _, unit := range wanted {
		if _, err := os.Stat(filepath.Join(shipped, strings.ReplaceAll(unit, "@1.", "@."))); err != nil {
			t.Errorf("rtap.target wants %s: %v", unit, err)
		}
	}
	put("etc/systemd/system/rtap-vad.service.d/30-wrong.conf", "[Service]\nProtectSystem=stricct\n", 0o644)
	if said := verify(); !strings.Contains(said, "stricct") {
		t.Errorf("a wrong line is not found: %q", said)
	}
}

// TestOperatorsCommandOnABareHost: where the server has the users that are shipped, rtap alone
// may do nothing, and deploy/operator.sh makes it the operator.
func TestOperatorsCommandOnABareHost(t *testing.T) {
	root := testkit.Root(t)
	rtap := filepath.Join(root, "bin", "rtap")
	_, err := os.Stat(rtap)
	testkit.RequireNative(t, err)
	server, _ := guarded(t, "")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	etc := t.TempDir()
	script := filepath.Join(t.TempDir(), "rtap")
	if err := os.Symlink(filepath.Join(root, "deploy", "operator.sh"), script); err != nil {
		t.Fatal(err)
	}
	run := func(program string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "config", "changes")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "RTAP_NATS__URL="+server.ClientURL(), "RTAP_ETC="+etc, "RTAP_OPERATOR_USER="+me.Username)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(rtap); err == nil || !strings.Contains(strings.ToLower(out), "authorization violation") {
		t.Errorf("without a password: %v: %s", err, out)
	}
	if out, err := run(script); err == nil || !strings.Contains(out, etc+"/operator.env is not there") {
		t.Errorf("without the file: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(etc, "operator.env"), []byte("RTAP_OPERATOR_PASSWORD="+password("operator")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(script); err != nil || strings.Contains(strings.ToLower(out), "authorization") {
		t.Errorf("as the operator: %v: %s", err, out)
	}
}
