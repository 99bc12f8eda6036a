// Command rtap-stt turns closed segments into text.
package main

import (
	"os"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/services/stt/internal/app"
)

var version = "dev"

func main() { os.Exit(lifecycle.Main("stt", version, app.Run)) }
