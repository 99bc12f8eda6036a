package bus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// LeastServer is the oldest nats-server that may be used: older ones have known holes, and
// lack what the streams ask for.
const LeastServer = "2.14.3"

// Older compares versions of three numbers; what follows a hyphen does not count.
func Older(version, than string) bool {
	a, b := numbers(version), numbers(than)
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func numbers(version string) (out [3]int) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	for i, part := range strings.SplitN(version, ".", 3) {
		out[i], _ = strconv.Atoi(part)
	}
	return out
}

// tooOld refuses a server that cannot be used; it does not get younger by waiting.
func tooOld(conn *nats.Conn, cfg config.NATS) error {
	if have := conn.ConnectedServerVersion(); have != "" && Older(have, LeastServer) {
		return lifecycle.Usage(fmt.Errorf("the NATS server at %s is version %s: update it to %s or later", config.WithoutSecrets(cfg.URL), have, LeastServer))
	}
	return nil
}
