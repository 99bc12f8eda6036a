package rig

import (
	"context"
	"fmt"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands between one service and the server.
type Proxy struct {
	proxy *toxiproxy.Proxy
}

func newProxy(name, upstream string) (*Proxy, error) {
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("starting a proxy for %s: %w", name, err)
	}
	return &Proxy{p}, nil
}

// Listen is the address for the service.
func (p *Proxy) Listen() string { return p.proxy.Listen }

// Cut closes all connections and takes none for a while.
func (p *Proxy) Cut(d time.Duration) error {
	p.proxy.Stop()
	time.Sleep(d)
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("opening the proxy again: %w", err)
	}
	return nil
}

// Delay holds everything back by so much, both ways, for a while.
func (p *Proxy) Delay(by, d time.Duration) error {
	return p.poison(d, func(direction string) string {
		return fmt.Sprintf(`{"name":"%s","type":"latency","stream":"%s","attributes":{"latency":%d,"jitter":%d}}`,
			direction, direction, by.Milliseconds(), by.Milliseconds()/2)
	})
}

// HalfOpen swallows everything for a while, and the connections stay open.
func (p *Proxy) HalfOpen(d time.Duration) error {
	return p.poison(d, func(direction string) string {
		return fmt.Sprintf(`{"name":"%s","type":"timeout","stream":"%s","attributes":{"timeout":0}}`, direction, direction)
	})
}

func (p *Proxy) poison(d time.Duration, toxic func(direction string) string) error {
	directions := []string{"upstream", "downstream"}
	for _, direction := range directions {
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic(direction))); err != nil {
			return fmt.Errorf("adding a toxic: %w", err)
		}
	}
	time.Sleep(d)
	for _, direction := range directions {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := p.proxy.Toxics.RemoveToxic(ctx, direction)
		cancel()
		if err != nil {
			return fmt.Errorf("removing a toxic: %w", err)
		}
	}
	return nil
}

// Close ends it.
func (p *Proxy) Close() { p.proxy.Stop() }
