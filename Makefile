# The tasks of users and developers. `make` alone lists them.

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=

CARGO       ?= cargo
CC          ?= cc
TARGET      := $(or $(CARGO_TARGET_DIR),target)
RELEASE_DIR := $(TARGET)/release

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME  := libfdckpt.so.0

SHELL := /bin/bash

# Subcommands of cargo that a task installs go to the build directory, not to the user's home directory.
CARGO_TOOLS := $(TARGET)/cargo-tools
export PATH := $(abspath $(CARGO_TOOLS))/bin:$(PATH)
install_cargo_tool = @$(CARGO) $(1) --version >/dev/null 2>&1 \
  || $(CARGO) install cargo-$(1) --locked --root "$(CARGO_TOOLS)"

# Every target that is a task, not a file.
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr( $$0, 5 ) } \
	  /^[a-z-]+:.*## / { printf "  make %-27s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build

lib: $(RELEASE_DIR)/libfdckpt.a ## Build libfdckpt.so, its soname link and libfdckpt.a

# Built with its own target directory and crate types: without the rlib, cargo applies link-time optimisation; with a named target, no
# cargo configuration can move the result. The archive made by cargo has the symbols of LZ4 and Rust as global ones, which would
# collide with those of a program: linked into one object, only the API stays global. (COMDAT groups are dissolved, or the linker
# would drop functions that another Rust library has too.) The files are replaced by rename, so that
# no other process sees half of one.
$(RELEASE_DIR)/libfdckpt.a: Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
	@set -e; host=$$(rustc -vV | sed -n 's/^host: //p'); lto="$(TARGET)/lto/$$host/release"; new="$(RELEASE_DIR)/new"; \
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib --target "$$host" --target-dir "$(TARGET)/lto"; \
	rm -rf "$$new"; mkdir -p "$$new"; \
	cp "$$lto/libfdckpt.so" "$$new/"; \
	ln -s libfdckpt.so "$$new/$(SONAME)"; \
	api=$$(nm -D --defined-only "$$new/libfdckpt.so" | awk '{ print "-u " $$3 }'); \
	ld -r --force-group-allocation $$api "$$lto/libfdckpt.a" -o "$$new/libfdckpt.o"; \
	objcopy --wildcard --keep-global-symbol='fd_checkpt_*' --keep-global-symbol='fd_restore_*' --keep-global-symbol='fdckpt_*' \
	  --remove-section .llvmbc --remove-section .llvmcmd --strip-debug "$$new/libfdckpt.o"; \
	ar rcs "$$new/libfdckpt.a" "$$new/libfdckpt.o"; \
	mv -f "$$new/libfdckpt.so" "$$new/$(SONAME)" "$$new/libfdckpt.a" "$(RELEASE_DIR)/"; \
	rm -r "$$new"

# The program that `make install` installs.
TOOL ?= $(RELEASE_DIR)/fdckpt

tool: $(RELEASE_DIR)/fdckpt ## Build the command-line tool fdckpt

$(RELEASE_DIR)/fdckpt: Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
	@set -e; host=$$(rustc -vV | sed -n 's/^host: //p'); mkdir -p "$(RELEASE_DIR)"; \
	$(CARGO) build --release --features cli --bin fdckpt --target "$$host" --target-dir "$(TARGET)/lto"; \
	cp "$(TARGET)/lto/$$host/release/fdckpt" "$@.$$$$"; mv -f "$@.$$$$" "$@"

build: ## Build the shared library and the Rust crate with cargo alone
	$(CARGO) build --release

# The input of the demo: a file or a directory. By default the libraries of the Rust toolchain, about 150 MB.
DATA ?= $(shell rustc --print target-libdir)

demo: lib ## Install to a staging directory, compile examples/frames_demo.c against it and run it on DATA
	@set -e; mkdir -p "$(TARGET)/demo"; stage=$$(cd "$(TARGET)/demo" && pwd); \
	$(MAKE) --no-print-directory --silent install-lib PREFIX="$$stage/usr" LIBDIR="$$stage/usr/lib" DESTDIR=; \
	flags=(-I"$$stage/usr/include" -L"$$stage/usr/lib" -lfdckpt); \
	if command -v pkg-config >/dev/null; then \
	  eval "flags=($$(PKG_CONFIG_PATH="$$stage/usr/lib/pkgconfig" pkg-config --cflags --libs fdckpt))"; \
	else \
	  echo "pkg-config is not installed: using the flags that it would print"; \
	fi; \
	$(CC) -O2 -o "$$stage/demo" examples/frames_demo.c -pthread "$${flags[@]}" -Wl,-rpath,"$$stage/usr/lib"; \
	"$$stage/demo" "$(DATA)"

# Number of kills in each run of `make demo-mpi`, number of steps of a run.
KILLS ?= 5
STEPS ?= 200

demo-mpi: lib ## Kill an MPI program KILLS times, restart it with 2 and 4 ranks and compare results (as root, installs Open MPI)
	@command -v mpicc >/dev/null && command -v mpirun >/dev/null \
	  || { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openmpi-bin libopenmpi-dev; } \
	  || { echo "Open MPI is missing: install openmpi-bin and libopenmpi-dev (Debian), or run this as root" >&2; exit 1; }
	@set -e; mkdir -p "$(TARGET)/demo-mpi"; build=$$(cd "$(TARGET)/demo-mpi" && pwd); lib=$$(cd "$(RELEASE_DIR)" && pwd); \
	flags=(-O2 -Wall -Wextra -Iinclude -L"$$lib" -lfdckpt -Wl,-rpath,"$$lib"); \
	mpicc -o "$$build/mpi_heat" examples/mpi_heat.c "$${flags[@]}"; \
	$(CC) -o "$$build/fti_repartition" examples/fti_repartition.c "$${flags[@]}"; \
	examples/mpi_demo.sh "$$build" $(STEPS) $(KILLS)

##@ Test

# libclang, with which the headers are compared with the Rust types; from a wheel, so that root is not needed.
VENV := $(TARGET)/venv

$(VENV)/libclang:
	@rm -rf $(VENV)
	@if python3 -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check libclang; \
	then touch $@; else echo "libclang cannot be installed: the headers are not compared with the Rust types by it"; fi

# What the tests had to leave out goes to the file FDCKPT_TEST_SKIPPED, which tools/summary.sh prints.
test: $(VENV)/libclang ## Run all tests (minutes); prints what was not run for want of a tool
	@set -o pipefail; features=c-tests,cli; mkdir -p $(TARGET); \
	export FDCKPT_TEST_SKIPPED="$(abspath $(TARGET))/skipped.txt"; rm -f "$$FDCKPT_TEST_SKIPPED"; \
	if [ -f $(VENV)/libclang ]; then \
	  features=c-tests,cli,abi-tests; \
	  export LIBCLANG_PATH="$$($(VENV)/bin/python -c 'import clang, os; print(os.path.join(list(clang.__path__)[0], "native"))')"; \
	  export BINDGEN_EXTRA_CLANG_ARGS="-I\"$$($(CC) -print-file-name=include)\""; \
	else \
	  echo "comparison of the headers with the Rust types (abi-tests): libclang is missing" >> "$$FDCKPT_TEST_SKIPPED"; \
	fi; \
	$(CARGO) test --no-fail-fast --features $$features 2>&1 | tools/summary.sh

test-all: ## Run all tests, a few seconds of each fuzz target (installs cargo-fuzz to target/), valgrind and the sanitizers
	$(call install_cargo_tool,fuzz)
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-valgrind test-sanitizers

test-valgrind: ## Run the C suite under valgrind (a minute)
	$(CARGO) test --features c-tests --test c_api_programs -- --ignored --nocapture valgrind

test-sanitizers: ## Run the C suite under AddressSanitizer, UBSan (programs only) and ThreadSanitizer
	tools/sanitize.sh address $(TARGET)/sanitize
	tools/sanitize.sh thread $(TARGET)/sanitize

test-faults: ## Make each system call and allocation fail in turn, in all scenarios (three minutes)
	FDCKPT_TEST_FAULTS=all $(CARGO) test --release --test faults -- --nocapture

# Number of cases of `make test-model` and the like.
COUNT ?= 1000000

test-model: ## Compare COUNT random call sequences in all modes with each other and with a model; also huge frames
	FDCKPT_TEST_MODEL_CASES=$(COUNT) $(CARGO) test --release --test frames -- \
	  --include-ignored --nocapture --test-threads 1 against_model many_frames
	FDCKPT_TEST_MODEL_CASES=$(COUNT) $(CARGO) test --release --test threads -- --include-ignored --nocapture --test-threads 1

test-container-model: ## Compare COUNT generated containers with a model of the format
	FDCKPT_TEST_CONTAINER_CASES=$(COUNT) $(CARGO) test --release --test container -- model_agrees_on_generated_files --nocapture

test-corruption: ## Corrupt frames COUNT times and count how much of it goes unnoticed
	FDCKPT_TEST_CORRUPTION_CASES=$(COUNT) $(CARGO) test --release --test frames -- corruption --nocapture --test-threads 1

test-checkpoint-corruption: COUNT = 100000

test-checkpoint-corruption: ## Corrupt checkpoint files COUNT times; all of it must be noticed
	FDCKPT_TEST_CHECKPOINT_CORRUPTION_CASES=$(COUNT) $(CARGO) test --release --test checkpoint -- corruption --nocapture

REGIONS ?= 1000000

test-million-regions: ## Open checkpoints of REGIONS regions and find one; prints the times
	FDCKPT_TEST_REGIONS=$(REGIONS) $(CARGO) test --release --test checkpoint -- --nocapture a_million

test-crash: ROUNDS = 10000

test-crash: ## Kill ROUNDS processes that write files and check what is left; also each state a crash of the machine may leave
	FDCKPT_TEST_CRASH_ROUNDS=$(ROUNDS) $(CARGO) test --release --test crash -- --nocapture

##@ Benchmarks

# LZ4 as lz4-sys has it, compiled with the options of lz4-sys: the libraries compared differ in the code around it only.
LZ4 = $(shell $(CARGO) metadata --format-version 1 --filter-platform "$$(rustc -vV | sed -n 's/^host: //p')" \
  | sed -n 's/.*"manifest_path":"\([^"]*\/lz4-sys-[^"]*\)\/Cargo.toml".*/\1\/liblz4\/lib/p')
LZ4_FLAGS := -O3 -ffunction-sections -fdata-sections -fPIC
BENCH_BUILD_DIR := $(TARGET)/bench

# BENCH_LIB is the library that `make bench` compares with: any one with the functions of fd_checkpt.h. The other variables are
# options of the program, which explains them when it is run without any.
BENCH_LIB   ?= $(BENCH_BUILD_DIR)/libreference.so
BENCH_DIR   ?= /dev/shm
BENCH_DATA  ?= $(shell rustc --print target-libdir) $(shell rustc --print sysroot)/lib /usr/include /usr/share
BENCH_MIB   ?= $(if $(QUICK),32,256)
ROUNDS      ?= $(if $(QUICK),5,35)
MIN_TIME_MS ?= $(if $(QUICK),2,8)
CLOCK       ?= cpu
JSON        ?= $(BENCH_BUILD_DIR)/bench.json
THREADS     ?= 2

bench: lib $(BENCH_BUILD_DIR)/throughput $(BENCH_LIB) ## Compare the library with the C reference or BENCH_LIB (5 minutes; QUICK=1: half a minute)
	@$(BENCH_BUILD_DIR)/throughput --ours $(RELEASE_DIR)/libfdckpt.so --other $(abspath $(BENCH_LIB)) --rows '$(ROWS)' \
	  --rounds $(ROUNDS) --ms $(MIN_TIME_MS) --mib $(BENCH_MIB) --dir $(BENCH_DIR) --clock $(CLOCK) --json $(JSON) $(BENCH_DATA)
	@$(if $(QUICK)$(ROWS),,$(MAKE) --no-print-directory bench-checkpoint)
	@$(if $(ROWS),,$(MAKE) --no-print-directory bench-threads)

bench-plot: ## Draw the results of the last `make bench`
	python3 benches/plot.py $(JSON) $(BENCH_BUILD_DIR)/bench.svg

bench-checkpoint: ROUNDS = 9

bench-checkpoint: ## Measure checkpoint files beside plain frames, write(2), memcpy, lz4, zstd and tar (2 minutes)
	ROUNDS=$(ROUNDS) BENCH_DIR=$(BENCH_DIR) MIB=$(BENCH_MIB) DATA="$(BENCH_DATA)" $(CARGO) bench --bench checkpoint

bench-threads: lib $(BENCH_BUILD_DIR)/scaling ## Measure the speedup of THREADS threads over one (on an otherwise idle machine)
	@$(BENCH_BUILD_DIR)/scaling --threads $(THREADS) --mib $(BENCH_MIB) --rounds $(if $(QUICK),3,9) --dir $(BENCH_DIR) $(BENCH_DATA)

bench-container: ## Measure containers, beside the figures of the original implementation
	$(CARGO) bench --bench container

bench-fti: ROUNDS = 7

bench-fti: ## Measure FTI files beside MD5 and plain writing, and their updates beside FTI (3 minutes)
	ROUNDS=$(ROUNDS) BENCH_DIR=$(BENCH_DIR) $(CARGO) bench --bench fti

# A package of its own, which keeps the libraries that it compares with away from this one.
bench-inflate: ## Decompress DATA (directories) by this library and by others
	cd benches/inflate && CARGO_TARGET_DIR="$(abspath $(TARGET))/bench" $(CARGO) run --release --quiet -- $(DATA) "$(CURDIR)/src" "$(CURDIR)/tests"

bench-stack: lib $(BENCH_BUILD_DIR)/stack $(BENCH_LIB) ## Measure the stack use of each function
	@$(BENCH_BUILD_DIR)/stack $(RELEASE_DIR)/libfdckpt.so $(abspath $(BENCH_LIB))

bench-reference: $(BENCH_BUILD_DIR)/libreference.so ## Build the reference alone: the API in plain C over LZ4, as a shared library

# Each file is built under another name and renamed, so that no other process uses half of it.
$(BENCH_BUILD_DIR)/lz4.o: Cargo.lock
	@mkdir -p $(BENCH_BUILD_DIR)
	@set -e; lz4="$(LZ4)"; test -n "$$lz4"; ln -sf "$$lz4/lz4.h" $(BENCH_BUILD_DIR)/; \
	$(CC) $(LZ4_FLAGS) -fvisibility=hidden -DLZ4LIB_VISIBILITY= -c -o $@.$$$$ "$$lz4/lz4.c"; mv -f $@.$$$$ $@

$(BENCH_BUILD_DIR)/libreference.so: benches/reference.c include/fd_checkpt.h $(BENCH_BUILD_DIR)/lz4.o
	@$(CC) -std=c11 -D_POSIX_C_SOURCE=200809L -O3 -fPIC -fvisibility=hidden -Wall -Wextra -Iinclude -I$(BENCH_BUILD_DIR) \
	  -shared -o $@.$$$$ benches/reference.c $(BENCH_BUILD_DIR)/lz4.o && mv -f $@.$$$$ $@

$(BENCH_BUILD_DIR)/throughput: benches/throughput.c benches/corpus.h include/fd_checkpt.h $(BENCH_BUILD_DIR)/lz4.o
	@$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -I$(BENCH_BUILD_DIR) -o $@.$$$$ benches/throughput.c $(BENCH_BUILD_DIR)/lz4.o -ldl \
	  && mv -f $@.$$$$ $@

$(BENCH_BUILD_DIR)/scaling: benches/scaling.c benches/corpus.h include/fd_checkpt.h include/fdckpt.h $(wildcard include/fdckpt/*.h)
	@mkdir -p $(BENCH_BUILD_DIR)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -o $@.$$$$ benches/scaling.c -pthread -L$(RELEASE_DIR) -lfdckpt \
	  -Wl,-rpath,$(abspath $(RELEASE_DIR)) && mv -f $@.$$$$ $@

$(BENCH_BUILD_DIR)/stack: benches/stack.c include/fd_checkpt.h
	@mkdir -p $(BENCH_BUILD_DIR)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -o $@.$$$$ benches/stack.c -pthread -ldl && mv -f $@.$$$$ $@

##@ Fuzzing and mutation testing

# Seconds for each fuzz target, or for the tests of each mutant.
SECONDS ?= 60

# The fuzzers need compiler options that are not stable; LZ4 is instrumented like the rest.
FUZZ := CFLAGS="-fsanitize=address -g" RUSTC_BOOTSTRAP=1 $(CARGO) fuzz
TARGETS := round_trip restore_anything all_modes frames container_parse inflate_anything inflate_index inflate_restore fti_parse fti_update checkpoint_open

fuzz: ## Run each fuzz target for SECONDS, starting from the corpus (installs cargo-fuzz to target/)
	$(call install_cargo_tool,fuzz)
	$(FUZZ) build --fuzz-dir fuzz
	set -e; for target in $(TARGETS); do \
	  mkdir -p fuzz/found/$$target; \
	  $(FUZZ) run --fuzz-dir fuzz $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) -max_len=4096 -print_final_stats=1; \
	done

# Seeds kept for all targets together.
SEEDS ?= 300

fuzz-cmin: ## Replace the corpus by at most SEEDS seeds, those of it and of what fuzzing found that cover most
	$(FUZZ) build --fuzz-dir fuzz
	tools/fuzz_cmin.py fuzz/target/$$(rustc -vV | sed -n 's/^host: //p')/release $(SEEDS) $(TARGETS)

# The tests that mutants are tried with: fast, and none of building and installing.
QUICK_TESTS := --features c-tests --lib --test c_api_inprocess --test frames --test container --test oom --test fti --test crash

MODULE ?= frame

mutants: ## Mutate src/MODULE and count what the tests miss, SECONDS for each mutant (installs cargo-mutants to target/)
	$(call install_cargo_tool,mutants)
	CARGO_TARGET_DIR="$(abspath $(TARGET))/mutants/tool" $(CARGO) build --release --quiet --manifest-path tools/mutants/Cargo.toml
	SECONDS=$(SECONDS) $(TARGET)/mutants/tool/release/mutants $(TARGET)/mutants $(addprefix src/,$(MODULE))

mutants-ffi: ## The same for exported and other unsafe functions, from a list: cargo-mutants leaves them out
	tools/mutate_ffi.py $(TARGET)/mutants-ffi $(QUICK_TESTS) --test faults

coverage: ## Measure line and branch coverage of the tests (needs llvm-19 or the like; installs cargo-llvm-cov to target/)
	$(call install_cargo_tool,llvm-cov)
	LLVM_COV=$${LLVM_COV:-llvm-cov-19} LLVM_PROFDATA=$${LLVM_PROFDATA:-llvm-profdata-19} RUSTC_BOOTSTRAP=1 \
	  $(CARGO) llvm-cov --branch --ignore-filename-regex '(^|/)(c?tests)/' --summary-only $(QUICK_TESTS)

##@ Install

MANDIR        ?= $(PREFIX)/share/man
BASH_COMPLETE := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETE  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETE := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

install: install-lib install-tool ## Install libraries, headers, pkg-config file and tool below PREFIX (and DESTDIR)

install-lib: lib ## Install libraries, headers and pkg-config file
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include/fdckpt" "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	install -m 755 "$(RELEASE_DIR)/libfdckpt.so" "$(DESTDIR)$(LIBDIR)/libfdckpt.so.$(VERSION)"
	ln -sf libfdckpt.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libfdckpt.so"
	install -m 644 "$(RELEASE_DIR)/libfdckpt.a" "$(DESTDIR)$(LIBDIR)/libfdckpt.a"
	install -m 644 include/fd_checkpt.h include/fdckpt.h "$(DESTDIR)$(PREFIX)/include/"
	install -m 644 include/fdckpt/*.h "$(DESTDIR)$(PREFIX)/include/fdckpt/"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' -e 's|@VERSION@|$(VERSION)|' fdckpt.pc.in \
	  > "$(DESTDIR)$(LIBDIR)/pkgconfig/fdckpt.pc"
	install -m 644 LICENSE LICENSES/BSD-2-Clause-lz4.txt LICENSES/BSD-2-Clause-fast-md5.txt README.md CHANGELOG.md "$(DESTDIR)$(PREFIX)/share/doc/fdckpt/"

install-tool: $(TOOL) ## Install the tool with man pages and completions for bash, zsh and fish
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(MANDIR)/man1" "$(BASH_COMPLETE)" "$(ZSH_COMPLETE)" "$(FISH_COMPLETE)"
	install -m 755 "$(TOOL)" "$(DESTDIR)$(PREFIX)/bin/fdckpt"
	install -d "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	install -m 644 LICENSE LICENSES/MIT-tool.txt docs/cli.md "$(DESTDIR)$(PREFIX)/share/doc/fdckpt/"
	"$(TOOL)" man "$(DESTDIR)$(MANDIR)/man1"
	"$(TOOL)" completions bash > "$(BASH_COMPLETE)/fdckpt"
	"$(TOOL)" completions zsh > "$(ZSH_COMPLETE)/_fdckpt"
	"$(TOOL)" completions fish > "$(FISH_COMPLETE)/fdckpt.fish"

uninstall: ## Remove what was installed
	cd "$(DESTDIR)$(LIBDIR)" && rm -f libfdckpt.so.$(VERSION) $(SONAME) libfdckpt.so libfdckpt.a pkgconfig/fdckpt.pc
	cd "$(DESTDIR)$(PREFIX)/include" && rm -f fd_checkpt.h fdckpt.h $(patsubst include/%,%,$(wildcard include/fdckpt/*.h))
	rmdir "$(DESTDIR)$(PREFIX)/include/fdckpt" 2>/dev/null || true
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	rm -f "$(DESTDIR)$(PREFIX)/bin/fdckpt" "$(DESTDIR)$(MANDIR)"/man1/fdckpt{,-*}.1
	rm -f "$(BASH_COMPLETE)/fdckpt" "$(ZSH_COMPLETE)/_fdckpt" "$(FISH_COMPLETE)/fdckpt.fish"

##@ Development

headers: ## Generate include/*.h from src/capi
	FDCKPT_TEST_WRITE_HEADERS=1 $(CARGO) test --quiet --test headers headers_are_up_to_date

lint: ## Check formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features c-tests,cli -- -D warnings -D clippy::undocumented_unsafe_blocks
	$(CARGO) doc --no-deps

doc: ## Build the Rust documentation
	$(CARGO) doc --no-deps

install-deps: ## Install what some tasks use beyond gcc, make, python3 and Rust (Debian, as root)
	apt-get update && apt-get install -y --no-install-recommends valgrind pkg-config clang liblz4-dev llvm-19

clean: ## Remove everything that was built
	$(CARGO) clean
