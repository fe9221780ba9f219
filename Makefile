# Two commands matter:
#   make run    builds, imports the example feed, starts the server
#   make test   installs what the tests need, runs everything
# The other targets are steps of these. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

# The same flags everywhere, so that nothing is compiled twice.
CARGO_SET := --locked --workspace --all-features

.PHONY: run test test-tools test-doc test-api test-readme test-run test-rust \
	test-scaffold test-crash test-cancel test-walk \
	check lint fmt module generate states bench bench-import bench-saga test-saga clean-data figures locked help

run: ## build, import the example feed and start the server (STORE=sqlite:… or postgres://…, LISTEN=, ADMIN_LISTEN=)
	@scripts/run.sh

# The runner of the Rust tests comes last: its closing line is the end of the output.
test: locked ## install missing tools for the tests, then run all tests
	@scripts/install-dev-tools.sh nextest
	@$(MAKE) test-tools
	@printf '\n==> Building the binary and the tests\n'
	@cargo build $(CARGO_SET) --all-targets
	@$(MAKE) test-doc
	@$(MAKE) test-api
	@$(MAKE) test-readme
	@$(MAKE) test-run
	@$(MAKE) test-scaffold
	@$(MAKE) test-saga
	@$(MAKE) test-rust

test-tools: ## install missing tools for the tests (Debian packages, .venv, node_modules)
	@scripts/install-test-tools.sh

test-doc: locked ## run the examples in the documentation
	@printf '\n==> Examples in the documentation\n'
	@cargo test $(CARGO_SET) --doc --quiet

test-api: ## test the built server against its OpenAPI description (MAX_EXAMPLES=, SEED=)
	@scripts/test-api.sh

test-readme: ## run the commands of the README and of docs/mapping.md against the built server
	@scripts/check-readme.sh
	@README=docs/mapping.md scripts/check-readme.sh

test-run: ## test `make run` with the built server on both engines, and place an order
	@scripts/smoke-run.sh
	@scripts/with-postgres.sh scripts/smoke-run-postgres.sh

test-scaffold: ## generate the workspace of a service, test it, and hand a module over to it
	@scripts/test-scaffold.sh

test-rust: locked ## run the Rust tests (T="order cancelled": only tests whose name contains one of the words)
	@printf '\n==> Rust tests\n'
	@scripts/with-postgres.sh cargo nextest run $(CARGO_SET) $(T)

test-crash: ## kill servers and PostgreSQL at random moments, many rounds; write the results to docs/proof.md (ROUNDS=200, SEED=)
	@scripts/test-crash.sh

test-cancel: ## cancel every operation at every await, and stop servers under load, repeatedly (ROUNDS=40)
	@scripts/with-postgres.sh cargo nextest run $(CARGO_SET) --stress-count $(or $(ROUNDS),40) \
		-E 'test(cancelling::) or binary(cancelled_operations) or test(pool::tests::) or test(a_server_that_stops_hands_over)'

test-walk: ## run all pairs and triples of commands and long random stories, on both engines (ROUNDS=1, SEED=)
	@printf '\n==> Running pairs, triples and random stories of commands\n'
	@scripts/with-postgres.sh cargo nextest run $(CARGO_SET) --profile crash --no-capture \
		--run-ignored ignored-only -E 'binary(it) and test(walk::)'

check: locked ## compile and run the unit tests beside the code: the fast inner loop
	@printf '\n==> Checking the workspace\n'
	@cargo check $(CARGO_SET) --all-targets
	@printf '\n==> Unit tests beside the code\n'
	@scripts/with-postgres.sh cargo nextest run $(CARGO_SET) --lib --bins

lint: locked ## check format, lints, licences, documentation and generated files
	@scripts/install-dev-tools.sh deny
	@$(MAKE) test-tools
	@scripts/lint.sh

fmt: ## format the code
	@printf '\n==> Formatting\n'
	@cargo fmt --all

module: ## begin a module of your own as a copy of the sample module (NAME=)
	@scripts/new-module.py $(NAME)

generate: locked ## generate openapi/, docs/modules/ and the calls in docs/wire.md from the code
	@printf '\n==> Generating openapi/, docs/modules/ and the calls in docs/wire.md\n'
	@cargo build $(CARGO_SET) --all-targets
	@scripts/generate.sh

states: locked ## run every pair of commands and write the results to docs/states.md
	@printf '\n==> Generating docs/states.md\n'
	@WRITE_PAGES=1 cargo nextest run $(CARGO_SET) -E 'binary(it) and test(walk::) and test(sqlite)'

figures: ## measure the release binary: import rate, cold start, memory, latency of orders
	@cargo build --locked --release
	@scripts/figures.sh

bench: ## benchmark the stores against others and write docs/benchmarks.md (SECONDS= per run, ROUNDS=)
	@cargo build --locked --release --package bascule --package bench
	@benchmarks/setup.sh
	@benchmarks/saga.py --results target/saga.json
	@benchmarks/bench.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-saga: ## benchmark the saga under overload, on both engines (SECONDS=60, ROUNDS=, BEFORE_BIN=)
	@cargo build --locked --release
	@benchmarks/setup.sh
	@benchmarks/saga.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) --results target/saga.json

bench-import: ## benchmark the import: changes per second, and memory on large feeds (ROUNDS=5, BEFORE_BIN=)
	@cargo build --locked --release
	@benchmarks/import.py --rounds $(or $(ROUNDS),5) --memory $(if $(BEFORE_BIN),--before $(BEFORE_BIN))

test-saga: ## run a short benchmark of the saga: the backlog drains and the books agree
	@scripts/test-saga.sh

clean-data: ## delete ./data, the store of `make run`
	@printf '\n==> Deleting ./data\n'
	@rm -rf ./data

# Fails with a hint if Cargo.lock lacks a new crate or dependency.
locked:
	@scripts/check-lock.sh

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
