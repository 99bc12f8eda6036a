// Package whispercpp runs Whisper models through whisper.cpp's Go binding.
//
// What the binding hides or gets wrong is handled here:
//   - Its Whisper_full keeps callbacks in maps without a lock, so that two engines in one
//     process crash it; whisper_full is called directly instead, without those callbacks.
//   - It offers no way to stop: an abort callback reads a flag in C memory that the
//     context's end sets.
//   - It panics on empty input, and the library reads out of bounds below 201 samples:
//     audio is cleaned and filled up to a second first.
//   - All contexts of one of its models share one state: each Engine loads the model anew,
//     and runs one inference at a time.
//   - Its strings are never freed; those of prompts are made and freed here.
//   - Threads default to all cores; here they are always given.
//
// OpenMP keeps a pool of threads for every thread that calls it, so each engine calls C
// from one thread of its own.
//
// The build tag nowhisper leaves the package out.
package whispercpp
