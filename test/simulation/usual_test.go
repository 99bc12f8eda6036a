//go:build !race

package simulation_test

// usual is how many schedules a plain run has.
const usual = 400
