// Command rtap-vad finds speech in the frames of every stream and hands closed segments on.
package main

import (
	"os"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/services/vad/internal/app"
)

var version = "dev"

func main() { os.Exit(lifecycle.Main("vad", version, app.Run)) }
