# Lifeline's build and tests. "make test" on a fresh Debian machine with Go
# installs what is missing and passes everything.

# Flags for every run of go test: make test TESTFLAGS=-v
TESTFLAGS ?=

# Linters are pinned in a module of their own, so that Lifeline's own module
# does not depend on them.
TOOL := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build check test deps lint unit e2e screenshots soak bench storm vuln generate clean

help: ## list what can be made
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The commit becomes part of the binary; "lifeline version" tells it.
build: ## bin/lifeline
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/lifeline ./cmd/lifeline

check: lint unit ## what needs nothing but Go and a C compiler: format, vet, staticcheck, tests under -race

test: deps check e2e ## everything, after installing what is missing (as root)
	@echo "make test: everything passed"

deps: ## install what the end-to-end stories need (Debian, as root)
	@scripts/install-test-deps

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, type gofmt -w on these:"; echo "$$unformatted"; exit 1; fi
	go vet -tags e2e ./...
	$(TOOL) staticcheck -tags e2e ./...

unit:
	go test -race -count=1 $(TESTFLAGS) ./...

e2e: ## the stories against real sshd, dockerd, Prometheus and Alertmanager (as root)
	go test -race -tags e2e -count=1 -timeout 20m $(TESTFLAGS) ./e2e/...

screenshots: deps ## docs/images/page-*.png: the pages as the stories see them (as root)
	LIFELINE_SCREENSHOTS=$(CURDIR)/docs/images go test -tags e2e -count=1 -run '^(TestWebPagesForEverybody|TestWebServiceApproval)$$' ./e2e

# About ten minutes, on a machine that does nothing else meanwhile.
bench: ## bench/RESULTS.md and its chart: sshpool and its peers, side by side (as root)
	@scripts/install-bench-deps
	go run ./bench

storm: ## the chapter on storms of alerts in bench/RESULTS.md: 10,000 alerts over 200 simulated hosts (minutes)
	go run ./bench/storm

# Rounds of the crash tests in make soak: make soak ROUNDS=50
ROUNDS ?= 1000

soak: ## 20,000 SSH commands while connections are cut, then 1,000 crashes of the service (hours)
	SSHPOOL_SOAK=20000 go test -race -count=1 -timeout 60m -v -run '^TestSoak$$' ./sshpool
	LIFELINE_SOAK=$(ROUNDS) go test -count=1 -timeout 6h -v -run '^Test(Killed|Confirmed|AnyWrite|EveryWrite|Busy)' ./internal/app

# Not part of check: it asks a database on the internet that changes by the day,
# and check must say the same about the same commit, on a machine without
# internet too.
vuln: ## look for known vulnerabilities in what Lifeline depends on (needs internet)
	$(TOOL) govulncheck ./...

generate: ## docs/configuration.md, the schema and docs/states.md, from the code
	go test -count=1 -run '^TestDocsAreGenerated$$' ./internal/config -write
	go test -count=1 -run '^TestStatesAreDocumented$$' . -write

clean: ## remove bin
	rm -rf bin
