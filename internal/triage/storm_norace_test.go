//go:build !race

package triage_test

// stormAlerts is how many alerts a storm has.
const stormAlerts = 10_000
