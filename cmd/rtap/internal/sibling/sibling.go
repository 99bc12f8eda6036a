// Package sibling finds RTAP's other programs, which lie beside this one.
package sibling

import (
	"fmt"
	"os"
	"path/filepath"
)

// Path returns where the program of a service is; whether it is there is not checked.
func Path(service string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding rtap-%s: %w", service, err)
	}
	return filepath.Join(filepath.Dir(exe), "rtap-"+service), nil
}
