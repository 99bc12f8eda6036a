package doctor

import (
	"context"
	"strings"

	"github.com/rtap/rtap/pkg/config"
)

func (s *Site) configuration(context.Context) []Finding {
	loaded, err := s.Flags.Load(s.Environ)
	if err == nil {
		s.Config = loaded.Config
	}
	return JudgeConfig(loaded, err)
}

// JudgeConfig gives one finding for each thing that is wrong with the configuration.
func JudgeConfig(loaded *config.Loaded, err error) []Finding {
	const name = "configuration"
	if err == nil {
		files := strings.Join(loaded.Files(), ", ")
		if files == "" {
			files = "the built-in defaults"
		}
		return []Finding{{name, OK, "valid, from " + files, ""}}
	}
	var out []Finding
	for line := range strings.Lines(err.Error()) {
		out = append(out, Finding{name, Fail, strings.TrimSpace(line), ""})
	}
	out[len(out)-1].Advice = "mend it where the message says; the checks below go by the built-in defaults"
	return out
}
