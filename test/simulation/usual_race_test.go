//go:build race

package simulation_test

// usual is less with the race detector, which makes everything many times slower.
const usual = 25
