// Package e2e holds Lifeline's end-to-end stories. Nothing in them is simulated
// but the model's far end: OpenSSH's sshd on loopback, dockerd with an image
// made on the spot, Prometheus and Alertmanager from Debian, and the lifeline
// binary as its users run it.
//
// The stories need root and the programs that scripts/install-test-deps
// installs, so they stand behind a build tag and plain "go test ./..." leaves
// them out. With the tag a missing program is a failure, never a skipped test:
//
//	make e2e
//	go test -race -tags e2e -count=1 -timeout 20m ./e2e/...
//
// Each story starts its own daemons on free loopback ports and in a temporary
// folder of its own, and ends them by their process ids. The story tests read
// top to bottom; what they stand on is one file per daemon.
package e2e
