# SPDX-License-Identifier: Apache-2.0
# The front door. Each target installs the Debian packages that it needs when they are missing, and says so.

SHELL := /bin/bash
.DEFAULT_GOAL := help

NEED := Tests/Tools/apt-need
BUILD_PACKAGES := libdrm-dev libudev-dev pkg-config
# The clients in Tests/Clients are in C and Python; some tests look for processes or count system calls, one is a service
# manager.
TEST_PACKAGES := gcc libc6-dev procps python3 strace systemd
# libFuzzer is in C++, and is linked to what g++ brings.
FUZZ_PACKAGES := g++
BENCH_PACKAGES := gcc libc6-dev strace
# One file that needs only libc, libm, libstdc++, libgcc, libdrm and libudev.
RELEASE := swift build -c release --static-swift-stdlib -Xlinker -s --product dmabuf-share
PREFIX ?= /usr/local
KERNEL ?= 6.12
# How many runs of the rules, and from which seed.
RUNS ?= 100000
SEED ?= 1

# How often each step of a soak kills, and how often a buffer is moved in it.
export ROUNDS ?= 100
export MOVES ?= 100000
export FRAMES ?= 10000

# How long the fuzzer runs, in seconds.
TIME ?= 60

# Taken as they are written: what is in CMD is the guest shell's to expand, not make's.
unexport CMD SCREEN KERNEL
GUEST_COMMAND := $(value CMD)
GUEST_SCREEN := $(value SCREEN)
GUEST_KERNEL := $(value KERNEL)
export GUEST_COMMAND GUEST_SCREEN GUEST_KERNEL

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: packages
packages:
	@$(NEED) --why "to build" $(BUILD_PACKAGES)

.PHONY: test-packages
test-packages: packages
	@$(NEED) --why "to test" $(TEST_PACKAGES)

.PHONY: fuzz-packages
fuzz-packages:
	@$(NEED) --why "to fuzz" $(FUZZ_PACKAGES)

.PHONY: release
release: packages
	@$(RELEASE) >&2  # standard output is the command's, in `guest`

.PHONY: run
run: release ## build, and show the product doing its job on this machine
	@.build/release/dmabuf-share demo

.PHONY: test
test: test-packages fuzz-packages ## all suites on this machine, then the kernel suites in the 6.12 guest
	@Tests/Tools/suites fences host samples failpoints simulate fuzz guest:6.12

.PHONY: test-kernels
test-kernels: test-packages ## the kernel suites on 6.1, 6.12 and the newest kernel
	@Tests/Tools/suites guest:6.1 guest:6.12 guest:7.3

.PHONY: check
check: ## the format, then all tests
	@swift format lint --strict -r Sources Tests Package.swift
	@$(MAKE) --no-print-directory test

.PHONY: failpoints
failpoints: test-packages ## clients, the registry and its vault killed at each step, by a build that can be made to die
	@Tests/Tools/suites failpoints

.PHONY: soak
soak: test-packages ## ROUNDS=100 MOVES=100000 FRAMES=10000: kills at every step, races of moves and frames, for long
	@Tests/Tools/suites soak

.PHONY: sanitize
sanitize: test-packages ## the suites of this machine under address and thread sanitizer
	@Tests/Tools/suites host:address host:thread

.PHONY: simulate
simulate: packages ## RUNS=… SEED=…: the registry's rules against seeded random clients, deaths and delays
	@swift build -c release --product dmabuf-simulate >&2
	@.build/release/dmabuf-simulate --runs $(RUNS) --seed $(SEED)

.PHONY: mutants
mutants: packages ## the simulator finds each bug that fixtures/mutants puts into the rules
	@$(NEED) --why "to put bugs into the rules" patch
	@Tests/Tools/mutants

.PHONY: fuzz
fuzz: fuzz-packages ## TIME=60: the decoder and the rules under libFuzzer and the address sanitizer, so many seconds
	@Tests/Tools/fuzz $(TIME)

.PHONY: coverage
coverage: test-packages ## how many lines of the rules and of the wire their tests reach: 95 % at least
	@Tests/Tools/coverage

.PHONY: bench
bench: release ## the daemon against the same in C, in turns: attach, register, CPU, death, memory; and the rules alone
	@$(NEED) --why "to measure" $(BENCH_PACKAGES)
	@swift build -c release --static-swift-stdlib --product dmabuf-bench >&2
	@Tests/Bench/run .build/release

.PHONY: guest
guest: release ## CMD='…' in a guest kernel (KERNEL=6.12|6.1|7.3, SCREEN=file.png); no CMD: a shell
	@Tests/Guest/run --kernel "$$GUEST_KERNEL" $${GUEST_SCREEN:+--screen "$$GUEST_SCREEN"} \
	    $${GUEST_COMMAND:+-- sh -c "$$GUEST_COMMAND"}

.PHONY: install
install: release ## into PREFIX (/usr/local): the tool, its man pages, completions and units
	@install -Dm755 .build/release/dmabuf-share $(DESTDIR)$(PREFIX)/bin/dmabuf-share
	@install -Dm644 docs/dmabuf-share.1 $(DESTDIR)$(PREFIX)/share/man/man1/dmabuf-share.1
	@install -Dm644 docs/dmabuf-share.policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/dmabuf-share.policy.5
	@install -Dm644 docs/example.policy $(DESTDIR)$(PREFIX)/share/doc/dmabuf-share/example.policy
	@install -Dm644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system docs/systemd/dmabuf-share.socket
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	@sed 's,^ExecStart=[^ ]*,ExecStart=$(PREFIX)/bin/dmabuf-share,' docs/systemd/dmabuf-share.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/dmabuf-share.service
	@mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	@.build/release/dmabuf-share --generate-completion-script bash \
	    >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/dmabuf-share
	@.build/release/dmabuf-share --generate-completion-script zsh \
	    >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dmabuf-share
	@.build/release/dmabuf-share --generate-completion-script fish \
	    >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dmabuf-share.fish

.PHONY: clean
clean: ## remove what was built here (the kernels' cache stays)
	@rm -rf .build .build-*
