// Command pages opens the gateway's pages in a headless Chromium, says what they ask of
// other hosts and what they complain about, and keeps a picture of each.
//
//	go -C tools/pages run . -url http://127.0.0.1:8080 -out /tmp/pages
//
// It exits with 1 when a page asks another host, reports an error, or does not show what it
// is there for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// view is one look at a page: shows is a condition in JavaScript that must become true.
type view struct {
	name, path, shows string
	width, height     int64
	dark              bool
}

var views = []view{
	{name: "captions", path: "/", shows: `document.querySelector(".said .final, .said .committed")?.textContent.trim().length > 0`, width: 1100, height: 720},
	{name: "captions-speaking", path: "/", shows: `document.querySelector(".said .tail:not(:empty)") !== null`, width: 1100, height: 720},
	{name: "captions-dark-narrow", path: "/", shows: `document.querySelector(".said .final")?.textContent.trim().length > 0`, width: 400, height: 720, dark: true},
	{name: "overlay", path: "/overlay?size=48&lines=2&fade=0", shows: `document.querySelector("#lines .line")?.textContent.trim().length > 0`, width: 1280, height: 300},
	{name: "overlay-top-left", path: "/overlay?size=30&lines=3&align=left&position=top&names=true&color=ffe14d&background=none&fade=0",
		shows: `document.querySelector("#lines .name") !== null`, width: 1280, height: 300},
	{name: "docs", path: "/docs", shows: `document.querySelectorAll(".opblock").length > 8`, width: 1200, height: 1400},
	{name: "redoc", path: "/redoc", shows: `document.body.innerText.includes("/v1/transcripts/{file}")`, width: 1400, height: 1100},
	{name: "redoc-feeds", path: "/redoc?document=asyncapi", shows: `document.body.innerText.includes("One JSON text message")`, width: 1400, height: 1100},
}

func main() {
	base := flag.String("url", "http://127.0.0.1:8080", "the gateway")
	out := flag.String("out", ".", "`folder` for the pictures")
	browser := flag.String("browser", "chromium", "the browser's program")
	flag.Parse()
	if err := run(*base, *out, *browser); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(base, out, browser string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Run(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", browser, err)
	}
	var errs []error
	for _, v := range views {
		if err := look(ctx, base, out, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	return errors.Join(errs...)
}

// look opens a page in a tab of its own.
func look(ctx context.Context, base, out string, v view) error {
	ctx, cancel := chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	home, err := url.Parse(base)
	if err != nil {
		return err
	}
	var (
		mu      sync.Mutex
		trouble []string
		asked   int
	)
	note := func(s string) { mu.Lock(); defer mu.Unlock(); trouble = append(trouble, s) }
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *network.EventRequestWillBeSent:
			u, err := url.Parse(e.Request.URL)
			if err != nil || u.Host != home.Host && u.Scheme != "data" && u.Scheme != "blob" {
				note("asks " + e.Request.URL)
			}
			mu.Lock()
			asked++
			mu.Unlock()
		case *network.EventWebSocketCreated:
			if u, err := url.Parse(e.URL); err != nil || u.Host != home.Host {
				note("asks " + e.URL)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				note(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			note(e.ExceptionDetails.Error())
		}
	})
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	var picture []byte
	err = chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable(),
		emulation.SetDeviceMetricsOverride(v.width, v.height, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(strings.TrimSuffix(base, "/")+v.path),
		chromedp.Poll(v.shows, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(45*time.Second)),
		chromedp.CaptureScreenshot(&picture))
	if err == nil {
		file := filepath.Join(out, v.name+".png")
		err = os.WriteFile(file, picture, 0o644)
		fmt.Printf("%s: %d requests, %s\n", v.name, asked, file)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, s := range trouble {
		err = errors.Join(err, errors.New(s))
	}
	return err
}
