package report

import "io"

// Page writes the report as a page.
func (r *Report) Page(io.Writer) error { return nil }
