// Package failpoint lets a test end, stop or delay a process at a named place in its code,
// where a random moment would seldom hit: between a write and its acknowledgement, between
// two writes that belong together.
//
// Programs are built without it: [At] is empty then. With the build tag failpoint it
// obeys RTAP_FAILPOINT:
//
//	name[:nth]=kill | exit | stop:DURATION | delay:DURATION
//
// or several of these with commas between.
// The nth time (the first, when it is not given) that the process comes to the place, it is
// killed with SIGKILL, exits with code 3, is stopped with SIGSTOP for a while as if the
// machine had slept, or waits. Later passes do nothing. `make chaos` comes to every name.
package failpoint

// Env is the variable that names the place and what happens there.
const Env = "RTAP_FAILPOINT"
