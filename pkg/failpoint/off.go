//go:build !failpoint

package failpoint

// Enabled says whether the program was built with failpoints.
const Enabled = false

// At does nothing.
func At(string) {}
