// Package lifecycle starts and stops a process the same way everywhere: signals, exit
// codes, and a group of parts that stop in the reverse order of their start.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes of every RTAP command.
const (
	ExitOK      = 0
	ExitFailure = 1
	// ExitUsage: wrong arguments or configuration, a missing device, an unreadable file.
	// Starting again without a change cannot help.
	ExitUsage = 2
	// ExitEnded: under `rtap up`, the work is done and there is no more to start again for.
	// A process that was asked to stop ends with ExitOK there as everywhere.
	ExitEnded = 3
)

// Env is what a process gets from outside.
type Env struct {
	Service, Version string
	// Args are the arguments without the program name.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
}

// App is a whole program. It returns when ctx is done and everything has stopped.
type App func(ctx context.Context, env Env) error

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// Usage marks err as one that the user must mend: exit code 2.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{Code: ExitUsage, Err: err}
}

// Code returns the exit code for what an App returned.
func Code(err error) int {
	var exit *ExitError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ExitOK
	case errors.As(err, &exit):
		return exit.Code
	default:
		return ExitFailure
	}
}

// Main runs app until it returns, SIGINT or SIGTERM arrives, and gives the exit code.
// A second signal ends the process at once.
func Main(service, version string, run App) int {
	// A panic or a fault in C code would end the process with exit code 2, as wrong usage
	// does, and would not be tried again; so it ends by SIGABRT.
	debug.SetTraceback("crash")
	if os.Getenv("GOGC") == "" {
		// What lives is small and what is thrown away is audio: collecting it sooner takes a
		// tenth off the memory of the whole and hardly any time.
		debug.SetGCPercent(30)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(ExitFailure)
	}()
	err := run(ctx, Env{
		Service: service, Version: version, Args: os.Args[1:],
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
	})
	code := Code(err)
	if code != ExitOK && code != ExitEnded {
		fmt.Fprintf(os.Stderr, "%s: %v\n", service, err)
	}
	return code
}
