// Command rtap is the operator's command: it runs and watches the pipeline.
package main

import (
	"context"
	"os"

	"github.com/rtap/rtap/cmd/rtap/internal/backup"
	"github.com/rtap/rtap/cmd/rtap/internal/bench"
	"github.com/rtap/rtap/cmd/rtap/internal/command"
	"github.com/rtap/rtap/cmd/rtap/internal/dead"
	"github.com/rtap/rtap/cmd/rtap/internal/devices"
	"github.com/rtap/rtap/cmd/rtap/internal/diagnostics"
	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/cmd/rtap/internal/failover"
	"github.com/rtap/rtap/cmd/rtap/internal/healthcheck"
	"github.com/rtap/rtap/cmd/rtap/internal/models"
	"github.com/rtap/rtap/cmd/rtap/internal/profile"
	"github.com/rtap/rtap/cmd/rtap/internal/settings"
	"github.com/rtap/rtap/cmd/rtap/internal/top"
	"github.com/rtap/rtap/cmd/rtap/internal/up"
	"github.com/rtap/rtap/cmd/rtap/internal/verify"
	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/lifecycle"
)

var version = "dev"

func main() { os.Exit(lifecycle.Main("rtap", version, run)) }

func run(ctx context.Context, env lifecycle.Env) error {
	if len(env.Args) > 0 && env.Args[0] != "up" {
		env.Environ = operator(env.Environ)
	}
	return command.Run(ctx, env, commands)
}

// commands are all of them; their manual pages are in package help.
var commands = []command.Command{
	{Name: "up", Run: up.Run},
	{Name: up.ServerCommand, Run: up.Serve, Hidden: true},
	{Name: "tail", Run: view.Tail},
	{Name: "tap", Run: view.Tap},
	{Name: "top", Run: top.Run},
	{Name: "doctor", Run: doctor.Run},
	{Name: "verify", Run: verify.Run},
	{Name: "diagnostics", Run: diagnostics.Run},
	{Name: "failover", Run: failover.Run},
	{Name: "profile", Run: profile.Run, Values: profile.Kinds},
	{Name: "healthcheck", Run: healthcheck.Run, Values: healthcheck.Names},
	{Name: "devices", Run: devices.Run},
	{Name: "config", Run: settings.Run, Values: settings.Values, Below: settings.Commands},
	{Name: "models", Run: models.Run, Values: models.Values, Below: models.Commands},
	{Name: "dead", Run: dead.Run, Below: dead.Commands},
	{Name: "backup", Run: backup.Run},
	{Name: "restore", Run: backup.Restore},
	{Name: "bench", Run: bench.Run, Below: bench.Commands},
}
