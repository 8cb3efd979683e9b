//go:build race

package triage_test

// stormAlerts is how many alerts a storm has: fewer where the race detector
// makes each of them ten times as slow.
const stormAlerts = 2_000
