# Duoduopin. `make` alone prints the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GO_FILES := $(shell find . -name '*.go' -not -path './static/node_modules/*' 2>/dev/null)
PAGE_FILES := $(shell find static/src static/public -type f 2>/dev/null) static/index.html static/vite.config.ts static/package.json

.PHONY: help run test test-go test-web test-browser test-hostile test-crash test-faults soak bench build lint fmt pages clean tools

help: ## print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 22

run: build ## build everything and serve on http://localhost:8080 with the demo shop
	bin/duoduopin serve --demo

build: bin/duoduopin ## bin/duoduopin, one static file with the pages inside

bin/duoduopin: static/dist/index.html $(GO_FILES) go.mod go.sum
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/duoduopin

pages: static/dist/index.html ## the web pages, into static/dist

static/dist/index.html: static/node_modules/.installed $(PAGE_FILES)
	cd static && npm run build

static/node_modules/.installed: static/package.json static/package-lock.json
	cd static && npm ci --no-audit --no-fund
	touch $@

test: tools lint test-go test-web test-browser test-hostile test-crash ## every test: Go with the race detector on SQLite and PostgreSQL, web units, real Chromium

tools: ## what the tests need and a Debian machine may lack: PostgreSQL, Chromium, a CJK font, nftables, GStreamer
	./tools/install

# What fails is tried once more, and said: machines that others use too make sockets and browsers late.
GOTEST := go tool -modfile=tools/go.mod gotestsum --rerun-fails=1 --rerun-fails-max-failures=8

test-go: tools ## Go tests with the race detector
	$(GOTEST) --packages="$$(go list ./... | grep -vE '/duoduopin/(faults|crash)$$' | tr '\n' ' ')" -- -race -timeout 25m

test-web: static/node_modules/.installed ## web unit tests, types and lint
	cd static && npm run check && npm test

test-browser: tools build ## the whole story in a real Chromium
	cd static && npm run e2e

test-hostile: tools build ## hostile peers against the real binary
	$(GOTEST) --format standard-verbose --packages=./cmd/duoduopin/faults -- -count=1 -timeout 10m

test-crash: tools ## crashes while selling: kill -9, frozen and full databases, lost answers, two servers; prints a table of rows checked
	$(GOTEST) --format standard-verbose --packages=./cmd/duoduopin/crash -- -count=1 -parallel 3 -timeout 10m

test-faults: tools build ## bad networks, staged in network namespaces with Chromium; prints a table. Not in make test: it takes 8 minutes
	cd static && ../tools/lab npx playwright test -c e2e/faults.config.ts

soak: tools build ## five anchors and five viewers for ten minutes without a freeze
	cd static && SOAK_MINUTES=10 ../tools/lab npx playwright test -c e2e/faults.config.ts long

lint: ## formatting and vet
	@test -z "$$(gofmt -l $(GO_FILES))" || { echo "not gofmt'd:"; gofmt -l $(GO_FILES); exit 1; }
	go vet ./...

lint-all: ## the whole lint set (.golangci.yml); builds golangci-lint once
	go tool -modfile=tools/go.mod golangci-lint run

fmt: ## format Go and pages
	gofmt -w $(GO_FILES)
	cd static && npm run format

bench: build ## benchmarks: a ratio or a cost per unit each, never a pass or fail by the clock
	./tools/bench

clean: ## remove what was built, never data
	rm -rf bin static/dist/assets static/dist/index.html
