# SPDX-License-Identifier: MIT
#
# A thin front for Meson: `make run` and `make test` work on a machine that has nothing yet.

BERTH = build/berth
ARGS =
SECONDS = 60

.DEFAULT_GOAL := build
.PHONY: run test bench soak build debug install coverage format fuzz mutants program proof scenarios clean help setup setup-test

run: program ## show Berth at work on this machine's PCI devices (ARGS="--seconds 30")
	@$(BERTH) run $(ARGS)

test: setup-test ## every check there is; ends with "N passed, N failed" (ARGS="--quick")
	@scripts/test.sh $(ARGS)

proof: setup-test ## everything that shows that Berth can be trusted, within an hour (ARGS="explore")
	@scripts/proof.sh $(ARGS)

scenarios: setup-test ## known flaws of others, and the tests that show them gone (ARGS="--list")
	@scripts/scenarios.sh $(ARGS)

mutants: setup-test ## break the protections one by one, and see who notices (ARGS="--only NAME")
	@scripts/mutants.sh $(ARGS)

bench: program ## measure, beside the ways that others go (ARGS="--json")
	@$(BERTH) bench $(ARGS)

soak: program ## pull and lend devices without a pause, for ten minutes
	@$(BERTH) torture --seconds 600 $(ARGS)

build: setup ## compile the release build into build/
	@scripts/build.sh release

program: setup
	@scripts/build.sh release berth

debug: setup ## compile with debug checks and sanitizers into build-debug/
	@scripts/build.sh debug

install: build ## install the release build
	@meson install -C build --no-rebuild

coverage: setup-test ## lines and branches of the core that tests run, and why not the rest (ARGS="--again")
	@scripts/coverage.sh $(ARGS)

fuzz: setup-test ## hostile input, so many seconds for each target (SECONDS=600 TARGET=view)
	@scripts/fuzz.sh --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET))

format: setup-test ## bring all C files into the project's format
	@tests/static/format.sh --fix

clean: ## throw the build folders away
	@rm -rf build build-debug build-clang build-tsan build-coverage build-fuzz build-fuzz-kept

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup:
	@scripts/setup.sh --run

setup-test:
	@scripts/setup.sh --test
