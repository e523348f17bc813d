# Thin face over CMake: sets the machine up, builds, shows, tests.
#
#   make demo     install what is missing, build, run the shipped models, show the result
#   make check    the same set-up and build, then all tests (also under sanitizers with CHECK=full)
#   make bench    measure; not a test
#   make fuzz     build the fuzz targets and run each FUZZ_SECONDS
#   make install  PREFIX=/usr/local

PRESET ?= release
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
B := build/$(PRESET)

.PHONY: all setup configure build demo check check-release check-dev check-tsan check-clang lint bench fuzz install format clean

all: build

setup:
	@tools/setup.sh

configure: setup
	@cmake --preset $(PRESET) >build.log 2>&1 || { cat build.log; exit 1; }; mv build.log $(B)/configure.log

build: configure
	@cmake --build $(B) -j$(JOBS)

demo: configure
	@cmake --build $(B) -j$(JOBS) --target muster_cli
	@tools/demo.sh $(B)/bin/muster

check: check-release check-dev lint
	@if [ "$(CHECK)" = full ]; then $(MAKE) --no-print-directory check-tsan check-clang; fi

check-release check-dev check-tsan check-clang: check-%: setup
	@tools/check.sh $* $(JOBS)

lint: setup
	@tools/lint.sh

bench:
	@$(MAKE) --no-print-directory build
	@tools/bench.sh $(B)

fuzz: setup
	@tools/fuzz.sh $(FUZZ_SECONDS) $(JOBS)

install: build
	@cmake --install $(B) --prefix $(PREFIX)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build
