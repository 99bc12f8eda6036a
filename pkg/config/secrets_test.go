package config_test

import (
	"testing"

	"github.com/rtap/rtap/pkg/config"
)

func TestWithoutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":                     "nats://127.0.0.1:4222",
		"nats://user:p@ss@host:4222":                "nats://host:4222",
		"tls://token@a:1, nats://u:p@b:2,c:3,u@d:4": "tls://a:1,nats://b:2,c:3,d:4",
	} {
		if got := config.WithoutSecrets(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestSettingsHideSecrets(t *testing.T) {
	l, err := config.Load(config.Options{File: write(t, t.TempDir(), "d.yaml", ""), Set: []string{
		"nats.url=nats://ada:lovelace@host:4222", "egress.auth_token=token-1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Settings() {
		switch s.Key {
		case "nats.url":
			if s.Value != "nats://host:4222" {
				t.Errorf("nats.url shows %s", s.Value)
			}
		case "egress.auth_token":
			if s.Value != "(hidden)" {
				t.Errorf("egress.auth_token shows %s", s.Value)
			}
		}
	}
	if got := l.Secrets(); len(got) != 1 || got[0] != "token-1" {
		t.Errorf("secrets: %q", got)
	}
}
