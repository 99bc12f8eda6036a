// Command rtap-egress releases finals in order and serves them to subscribers.
package main

import (
	"os"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/services/egress/internal/app"
)

var version = "dev"

func main() { os.Exit(lifecycle.Main("egress", version, app.Run)) }
