# make demo and make test do all the set-up a fresh machine needs.
GO ?= go
LINT_VERSION = v2.12.2
BIN = bin

.PHONY: demo test check lint race crash chaos bench diff fuzz build servers

build:
	$(GO) build -o $(BIN)/xaproxy ./cmd/xaproxy

## demo: real shards, the proxy, a bank; kills the proxy in the worst places and shows recovery
demo: build
	$(BIN)/xaproxy demo

## servers: fetch MySQL and MariaDB into the cache folder (make test does it by itself)
servers:
	$(GO) run ./internal/launch/fetch

## test: everything that CI runs, on real servers; only the crash matrix and the chaos run are in short form
test: servers
	$(GO) test -count=1 -timeout 20m -p 2 $$($(GO) list ./... | grep -v -e /integration -e /internal/launch)
	$(GO) test -short -count=1 -timeout 25m ./integration ./internal/launch/...

## check: vet, formatting, walls between packages, lint
check: lint
	$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) test -count=1 -run . .

lint: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run ./...

$(BIN)/golangci-lint:
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

## race: the unit and conformance tests under the race detector
race: servers
	$(GO) test -race -short -count=1 -timeout 40m -p 2 ./...

## crash: the whole crash matrix on real servers; writes docs/crash-matrix.md
crash: servers
	XAPROXY_MATRIX=docs/crash-matrix.md $(GO) test -count=1 -timeout 90m -v -run 'TestCrashMatrix' ./integration/

## chaos: an hour (CHAOS=60m) of random faults under load; writes its figures into docs/testing.md
CHAOS ?= 60m
chaos: servers
	XAPROXY_CHAOS=$(CHAOS) XAPROXY_CHAOS_DOC=$(CURDIR)/docs/testing.md $(GO) test -count=1 -timeout 24h -v -run '^TestChaos$$' ./integration/

## bench: compares with direct connections, a plain TCP proxy and hand-driven XA within one run; writes docs/benchmarks.md
bench: servers
	XAPROXY_BENCH=$(CURDIR)/docs/benchmarks.md $(GO) test -count=1 -timeout 120m -v -run '^TestBench' ./integration/

## diff: DIFF=50000 random statements through the proxy and at one server, all kinds over 2, 3 and 5 shards; writes docs/differential.md
DIFF ?= 50000
diff: servers
	XAPROXY_DIFF=$(DIFF) XAPROXY_DIFF_DOC=$(CURDIR)/docs/differential.md $(GO) test -count=1 -timeout 6h -v -run '^TestDifferential$$' ./integration/

## fuzz: FUZZTIME=20s for every fuzz target (10m for a long run), or for those that FUZZ=name names
FUZZTIME ?= 20s
FUZZ ?= Fuzz
FUZZFLAGS ?=
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' | grep -e '$(FUZZ)'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $(FUZZFLAGS) $$p || exit 1; \
	  done; \
	done

## docker-image: the proxy's image, xaproxy:local
.PHONY: docker-image docker-up
docker-image:
	VERSION="$$(git describe --tags --always --dirty)" docker/compose.sh build proxy1

## docker-up: two proxies before a MySQL and a MariaDB shard in containers (docker/README.md)
docker-up:
	docker/up.sh

## docker-test: everything that can happen to containers, on the cluster of docker/compose.yaml; XAPROXY_DOCKER=long takes longer
.PHONY: docker-test
docker-test:
	XAPROXY_DOCKER=$${XAPROXY_DOCKER:-1} $(GO) test -count=1 -timeout 60m -v ./docker/

## fresh: what the README says, on a clean Debian 12 in a container, as a user who is not root (docker/fresh.sh)
.PHONY: fresh
fresh:
	docker/fresh.sh
