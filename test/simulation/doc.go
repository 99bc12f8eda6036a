// Package simulation runs the code of all four services in one process, on a fake clock and
// over a fake server, through schedules drawn from a seed: processes are slow, stopped, cut
// off and killed at any moment and come back, two of each share the work, replies get lost,
// the server crashes and forgets. An oracle watches every write, and the end.
package simulation
