# What there is to do here; `make` prints the list. The work is in scripts/ and cargo.

.DEFAULT_GOAL := help
.PHONY: help build module module-san soak-module test lint check-deploy deny fuzz mutants tools bench bench-envoy

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the release binary, target/release/doorward
	cargo build --release --locked

module: ## Doorward inside Envoy, libdoorward_envoy.so; prints its path
	@scripts/module

module-san: ## the module under Miri and AddressSanitizer, on nightly (ten minutes the first time)
	scripts/module-san

soak-module: ## the module in a real Envoy: 400,000 requests, 20 listener updates, every answer checked
	scripts/soak-module

test: ## every test; fetches the real components that some of them start
	scripts/test

lint: ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

check-deploy: ## every file in envoy/ with the program that would read it
	scripts/check-deploy

fuzz: ## every fuzz target for ten seconds
	scripts/fuzz

mutants: ## changes the core in a thousand places, to see that its tests notice (hours)
	scripts/mutants

deny: ## licences, banned and doubled crates, sources (not advisories: see deny.toml)
	$$(scripts/fetch cargo-deny) --locked check --hide-inclusion-graph licenses bans sources

bench: ## CPU, latency and memory beside a server that decides nothing; writes docs/performance.md
	scripts/bench

bench-envoy: ## the same through a real Envoy, beside its own jwt_authn; writes docs/performance-envoy.md
	scripts/bench-envoy

tools: ## fetches or builds every tool into the cache (10 minutes, once), prints their paths
	scripts/fetch --env envoy keycloak oidc-provider chromium chromedriver gnome-keyring \
	    kubernetes-validate ghz grpcurl istioctl egctl opa cargo-deny cargo-fuzz cargo-mutants
