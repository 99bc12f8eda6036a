// Command rtap-capture turns devices and files into numbered frames on the bus.
package main

import (
	"os"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/services/capture/internal/app"
)

var version = "dev"

func main() { os.Exit(lifecycle.Main("capture", version, app.Run)) }
