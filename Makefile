# SPDX-License-Identifier: Apache-2.0

GOLANGCI_LINT_VERSION := v2.15.0
XCADDY_VERSION        := v0.4.7
CADDY_VERSION         := v2.11.9
VERSITYGW_VERSION     := v1.8.0
FAKE_GCS_VERSION      := v1.56.1

CONFIG    ?= examples/quickstart.caddyfile
# A number of inputs and no time: before Go 1.27 a target fails now and then when its time is over,
# with "context deadline exceeded" and no failing input (golang/go#75804).
FUZZTIME  ?= 500x
TIMEOUT   ?= 40m
BENCH     ?= .
BENCHTIME ?= 1s

# Tools are installed below the checkout, one file for each version. Nothing outside of it is touched.
TOOLS         := $(CURDIR)/.cache/bin
EXE           := $(shell go env GOEXE)
GOLANGCI_LINT := $(TOOLS)/$(GOLANGCI_LINT_VERSION)/golangci-lint$(EXE)
XCADDY        := $(TOOLS)/$(XCADDY_VERSION)/xcaddy$(EXE)

# The modules of this repository: the plugin itself and, where they are there, those with tests that need more.
MODULES := . $(patsubst %/go.mod,%,$(wildcard integration/go.mod benchmarks/go.mod))

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | while IFS='	' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

.PHONY: picture
picture: ## Make the pictures in docs/operations.md anew (needs prometheus and chromium; takes six minutes)
	packaging/monitoring/run.sh 6

.PHONY: run
run: ## Run Caddy with this module (CONFIG=examples/quickstart.caddyfile)
	go run ./cmd/caddy run --config $(CONFIG)

# What waits long or needs a program besides Go skips itself (-short).
.PHONY: test
test: ## Run the tests that need nothing but Go and end in minutes
	@set -e; for module in $(MODULES); do \
		echo "go test -short ./... ($$module)"; \
		(cd "$$module" && go test -short -timeout $(TIMEOUT) ./...); \
	done
	@$(MAKE) --no-print-directory other-way FLAGS=-short

# With a base URL the handler sends requests itself, in a catalogue too, or Caddy's proxy does
# (internal/rig/ways.go). What is seen on the wire is tested on all ways.
.PHONY: other-way
other-way:
	@echo "go test $(FLAGS) . (by Caddy's proxy)"
	@CADDYS_PROXY=1 go test $(FLAGS) -timeout $(TIMEOUT) -skip '^(TestDocs|TestReadme|TestAdapt|TestAllocs|TestWays|Fuzz)' .
	@echo "go test $(FLAGS) ./attack ./streaming ./grpc ./clients (by Caddy's proxy)"
	@cd integration && CADDYS_PROXY=1 go test $(FLAGS) -timeout $(TIMEOUT) -skip '^Fuzz' ./attack ./streaming ./grpc ./clients
	@echo "go test $(FLAGS) ./attack ./streaming (in a catalogue)"
	@cd integration && CATALOGUE=1 go test $(FLAGS) -timeout $(TIMEOUT) -skip '^Fuzz' ./attack ./streaming

# The race detector allocates on its own account, so allocations are counted without it, and a
# million users are too many for it.
.PHONY: test-all
test-all: ## Run all tests with the race detector (TIMEOUT=40m), and each fuzz target for a moment (FUZZTIME=500x)
	@set -e; for module in $(MODULES); do \
		echo "go test -race ./... ($$module)"; \
		(cd "$$module" && "$(CURDIR)/.ci/race" -timeout $(TIMEOUT) ./...); \
	done
	@$(MAKE) --no-print-directory other-way FLAGS=
	go test -run '^TestAllocs|^TestCacheSize' -timeout $(TIMEOUT) . ./oauth ./oauth/connection ./signature
	@$(MAKE) --no-print-directory fuzz FUZZTIME=$(FUZZTIME)

# A fuzz target is a function FuzzXxx(f *testing.F) in any test file of any module here.
.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (500x)
	@set -e; find . -path ./.cache -prune -o -name '*_test.go' -print | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*\*testing\.F).*/\1/p' "$$file"); do \
			echo "go test -fuzz $$target $$(dirname "$$file")"; \
			(cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .) || exit 1; \
		done; \
	done

# The tests of what a client can do ask the parsers that APIs use; those of npm's are these. npm ci takes the versions of the lock.
JUDGES  := .cache/judges
ISSUERS := .cache/issuers
EXPORTS := .cache/exports

.PHONY: judges
judges: $(JUDGES)/node_modules/.package-lock.json $(ISSUERS)/node_modules/.package-lock.json $(EXPORTS)/node_modules/.package-lock.json ## Install what integration/attack, integration/issuers and internal/foreign ask of npm

$(JUDGES)/node_modules/.package-lock.json: integration/attack/testdata/judges/package-lock.json
	mkdir -p $(JUDGES)
	cp integration/attack/testdata/judges/package.json integration/attack/testdata/judges/package-lock.json $(JUDGES)/
	npm ci --prefix $(JUDGES) --ignore-scripts --no-audit --no-fund
	touch $@

$(ISSUERS)/node_modules/.package-lock.json: integration/issuers/testdata/oidc-provider/package-lock.json
	mkdir -p $(ISSUERS)
	cp integration/issuers/testdata/oidc-provider/package.json integration/issuers/testdata/oidc-provider/package-lock.json $(ISSUERS)/
	npm ci --prefix $(ISSUERS) --ignore-scripts --no-audit --no-fund
	touch $@

# What Postman and others have exported is in packages as their tests' data; nothing of these packages is run.
$(EXPORTS)/node_modules/.package-lock.json: internal/foreign/testdata/exports/package-lock.json
	mkdir -p $(EXPORTS)
	cp internal/foreign/testdata/exports/package.json internal/foreign/testdata/exports/package-lock.json $(EXPORTS)/
	npm ci --prefix $(EXPORTS) --ignore-scripts --no-audit --no-fund
	touch $@

# The tests of real clients run the SDKs that npm has, and two servers that are Go programs. The others are Debian's packages.
CLIENTS   := .cache/clients
VERSITYGW := $(CLIENTS)/bin/$(VERSITYGW_VERSION)/versitygw$(EXE)
FAKE_GCS  := $(CLIENTS)/bin/$(FAKE_GCS_VERSION)/fake-gcs-server$(EXE)

.PHONY: clients
clients: $(CLIENTS)/node_modules/.package-lock.json $(VERSITYGW) $(FAKE_GCS) ## Install what integration/clients runs (needs npm)

$(CLIENTS)/node_modules/.package-lock.json: integration/clients/testdata/node/package-lock.json
	mkdir -p $(CLIENTS)
	cp integration/clients/testdata/node/package.json integration/clients/testdata/node/package-lock.json $(CLIENTS)/
	npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund
	touch $@

$(VERSITYGW):
	GOBIN=$(CURDIR)/$(@D) go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)

$(FAKE_GCS):
	GOBIN=$(CURDIR)/$(@D) go install github.com/fsouza/fake-gcs-server@$(FAKE_GCS_VERSION)

# The public conformance suite of the Model Context Protocol, with the Node that it needs, and an authorization server for its
# neighbour tests (npm; Linux on x64).
SUITE := .cache/conformance

.PHONY: conformance-suite
conformance-suite: $(SUITE)/node_modules/.package-lock.json ## Install what integration/conformance runs (needs npm)

$(SUITE)/node_modules/.package-lock.json: integration/conformance/testdata/node/package-lock.json
	mkdir -p $(SUITE)
	cp integration/conformance/testdata/node/package.json integration/conformance/testdata/node/package-lock.json $(SUITE)/
	npm ci --prefix $(SUITE) --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: conformance
conformance: conformance-suite ## Run the public conformance suite, and print its results
	cd integration && go test -count=1 -v -run '^TestConformance$$' ./conformance

# They are of real runs: the quickstart as the README has it, at its ports 8080 and 9000, and a console with many datasources.
.PHONY: pictures
pictures: ## Make the pictures of the documentation anew (needs Chromium or Chrome)
	cd integration && PICTURES=$(CURDIR)/docs/images go test -count=1 -run '^(TestQuickstart|TestMany)$$' ./browser

.PHONY: bench
bench: ## Run the benchmarks (BENCH=., BENCHTIME=1s)
	@set -e; for module in $(MODULES); do \
		(cd "$$module" && go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...); \
	done

# Peers that Debian has are installed where that is possible; Traefik and KrakenD are measured if they are on PATH.
.PHONY: bench-peers
bench-peers: ## Measure this module beside its peers, in one run (Linux; PEERS="-rounds 3 -connections 32")
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nginx-light libnginx-mod-http-lua haproxy || true; \
	fi
	cd benchmarks && go run ./peers $(PEERS)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters and check the formatting
	@set -e; for module in $(MODULES); do \
		echo "golangci-lint run ./... ($$module)"; \
		(cd "$$module" && $(GOLANGCI_LINT) run --allow-parallel-runners ./...); \
	done

.PHONY: smoke
smoke: $(XCADDY) ## Build Caddy with this module by xcaddy, and look for the modules in it
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(XCADDY) build $(CADDY_VERSION) --output "$$dir/caddy$(EXE)" \
		--with github.com/authenticated-api/caddy-authenticated-api@v0.0.0=.; \
	"$$dir/caddy$(EXE)" list-modules | tr -d '\r' > "$$dir/modules"; \
	for module in authenticated_api http.handlers.authenticated_api \
		http.reverse_proxy.transport.authenticated_api http.authenticated_api.auth.bearer \
		http.authenticated_api.auth.oauth2 http.handlers.authenticated_api_console; do \
		grep -x "$$module" "$$dir/modules" || { echo "list-modules does not show $$module" >&2; exit 1; }; \
	done

$(GOLANGCI_LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(XCADDY):
	GOBIN=$(@D) go install github.com/caddyserver/xcaddy/cmd/xcaddy@$(XCADDY_VERSION)
