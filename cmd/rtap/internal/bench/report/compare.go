package report

import "io"

// Compare says what changed.
func Compare(io.Writer, *Report, *Report) error { return nil }
