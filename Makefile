# Every task that a person does. `make` alone lists them.

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=

CARGO  ?= cargo
CC     ?= cc
TARGET := $(or $(CARGO_TARGET_DIR),target)
OUT    := $(TARGET)/release

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME  := libfdckpt.so.0

SHELL := /bin/bash

# All that looks like a task: none is the name of a file.
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the shared library and the crate as cargo makes them
	$(CARGO) build --release

# Built apart, since without the rlib cargo applies link-time optimisation; and for a named target, so that a cargo configuration
# can't put the result elsewhere. The archive that cargo makes has LZ4's and Rust's symbols as global ones, which would get in the
# way of a program's own: linked into one object, only the API stays global. What is there is replaced in one step, so that
# nobody finds half of it.
lib: $(OUT)/libfdckpt.a ## Build the libraries for linking: libfdckpt.so with its soname link, and libfdckpt.a

$(OUT)/libfdckpt.a: Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
	set -e; host=$$(rustc -vV | sed -n 's/^host: //p'); lto="$(TARGET)/lto/$$host/release"; new="$(OUT)/new"; \
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib --target "$$host" --target-dir "$(TARGET)/lto"; \
	rm -rf "$$new"; mkdir -p "$$new"; \
	cp "$$lto/libfdckpt.so" "$$new/"; \
	ln -s libfdckpt.so "$$new/$(SONAME)"; \
	api=$$(nm -D --defined-only "$$new/libfdckpt.so" | awk '{ print "-u " $$3 }'); \
	ld -r $$api "$$lto/libfdckpt.a" -o "$$new/libfdckpt.o"; \
	objcopy --wildcard --keep-global-symbol='fd_checkpt_*' --keep-global-symbol='fd_restore_*' --keep-global-symbol='fdckpt_*' \
	  --remove-section .llvmbc --remove-section .llvmcmd --strip-debug "$$new/libfdckpt.o"; \
	ar rcs "$$new/libfdckpt.a" "$$new/libfdckpt.o"; \
	mv -f "$$new/libfdckpt.so" "$$new/$(SONAME)" "$$new/libfdckpt.a" "$(OUT)/"; \
	rm -r "$$new"

# The tool has features that the library does without. Its program for `make install` is this one, unless another one is given.
TOOL ?= $(OUT)/fdckpt

tool: $(OUT)/fdckpt ## Build the command-line tool

$(OUT)/fdckpt: Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
	set -e; host=$$(rustc -vV | sed -n 's/^host: //p'); mkdir -p "$(OUT)"; \
	$(CARGO) build --release --features tool --bin fdckpt --target "$$host" --target-dir "$(TARGET)/lto"; \
	cp "$(TARGET)/lto/$$host/release/fdckpt" "$@.$$$$"; mv -f "$@.$$$$" "$@"

headers: ## Generate include/*.h from src/capi
	FDCKPT_WRITE_HEADERS=1 $(CARGO) test --quiet --test headers headers_are_up_to_date

# What the demo reads: a file or a folder. By default the Rust toolchain's own libraries, some 150 MB.
DATA ?= $(shell rustc --print target-libdir)

demo: lib ## Build, install to a staging folder, compile examples/demo.c against that, and run it on DATA
	@set -e; mkdir -p "$(TARGET)/demo"; stage=$$(cd "$(TARGET)/demo" && pwd); \
	$(MAKE) --no-print-directory --silent install-lib PREFIX="$$stage/usr" LIBDIR="$$stage/usr/lib" DESTDIR=; \
	flags=(-I"$$stage/usr/include" -L"$$stage/usr/lib" -lfdckpt); \
	if command -v pkg-config >/dev/null; then \
	  eval "flags=($$(PKG_CONFIG_PATH="$$stage/usr/lib/pkgconfig" pkg-config --cflags --libs fdckpt))"; \
	else \
	  echo "pkg-config is not installed: using the flags that it would print"; \
	fi; \
	set -x; \
	$(CC) -O2 -o "$$stage/demo" examples/demo.c -pthread "$${flags[@]}" -Wl,-rpath,"$$stage/usr/lib"; \
	"$$stage/demo" "$(DATA)"

# How often each run of `make demo-mpi` is killed, and how many steps it has.
KILLS ?= 5
STEPS ?= 200

demo-mpi: lib ## Run a program of Open MPI (which it installs, as root) with 2 and 4 ranks, kill it KILLS times, compare the results
	@command -v mpicc >/dev/null && command -v mpirun >/dev/null \
	  || { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openmpi-bin libopenmpi-dev; } \
	  || { echo "Open MPI can't be installed here: it takes Debian's openmpi-bin and libopenmpi-dev, and root" >&2; exit 1; }
	@set -e; mkdir -p "$(TARGET)/demo-mpi"; build=$$(cd "$(TARGET)/demo-mpi" && pwd); lib=$$(cd "$(OUT)" && pwd); \
	flags=(-O2 -Wall -Wextra -Iinclude -L"$$lib" -lfdckpt -Wl,-rpath,"$$lib"); \
	mpicc -o "$$build/mpi_heat" examples/mpi_heat.c "$${flags[@]}"; \
	$(CC) -o "$$build/fti_recut" examples/fti_recut.c "$${flags[@]}"; \
	examples/mpi_demo.sh "$$build" $(STEPS) $(KILLS)

# libclang for comparing the headers with the Rust code, without root.
VENV := $(TARGET)/venv

$(VENV)/libclang:
	@rm -rf $(VENV)
	@if python3 -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check libclang; \
	then touch $@; else echo "libclang can't be installed here: the headers are not compared by it"; fi

test: $(VENV)/libclang ## Run all tests
	@for tool in valgrind clang g++ pkg-config; do \
	  command -v $$tool >/dev/null || echo "$$tool is not installed: what needs it is skipped"; \
	done
	@set -o pipefail; features=ctests,tool; \
	if [ -f $(VENV)/libclang ]; then \
	  features=ctests,tool,bindgen; \
	  export LIBCLANG_PATH="$$($(VENV)/bin/python -c 'import clang, os; print(os.path.join(list(clang.__path__)[0], "native"))')"; \
	  export BINDGEN_EXTRA_CLANG_ARGS="-I\"$$($(CC) -print-file-name=include)\""; \
	fi; \
	$(CARGO) test --features $$features 2>&1 | ctests/summary.sh

valgrind: ## Run the whole C test suite under valgrind (a minute)
	$(CARGO) test --features ctests --test c_suite -- --ignored --nocapture valgrind

faults: ## Make every call of the system fail, one after the other, in all scenarios
	FDCKPT_FAULTS=all $(CARGO) test --release --test faults -- --nocapture

# How many sequences `make identity` draws, how many seconds `make fuzz` gives to each target.
COUNT   ?= 1000000
SECONDS ?= 60

identity: ## Compare COUNT random sequences of calls in all modes with each other and with a model, and huge frames
	FDCKPT_IDENTITY=$(COUNT) $(CARGO) test --release --test identity -- --include-ignored --nocapture --test-threads 1
	FDCKPT_IDENTITY=$(COUNT) $(CARGO) test --release --test spread --test frames -- --include-ignored --nocapture --test-threads 1

corruption: ## Damage checkpoints COUNT times, and tell how much of it goes unnoticed
	FDCKPT_CORRUPTION=$(COUNT) $(CARGO) test --release --test corruption -- --nocapture --test-threads 1

container-model: ## Compare COUNT generated containers with a naive model of the format
	FDCKPT_CONTAINER=$(COUNT) $(CARGO) test --release --test container -- the_model_agrees --nocapture

bench-container: ## Measure the container, beside the figures of the original
	$(CARGO) bench --bench container

bench-fti: ## Measure checkpoint files of FTI, beside MD5 and plain writing; updates of them, beside FTI (three minutes)
	ROUNDS=$(ROUNDS) BENCH_DIR=$(BENCH_DIR) $(CARGO) bench --bench fti

bench-fti: ROUNDS = 7

bench-index: ## Measure checkpoints that describe themselves, beside plain frames, write(2), memcpy, lz4, zstd and tar (2 minutes)
	ROUNDS=$(ROUNDS) BENCH_DIR=$(BENCH_DIR) MIB=$(BENCH_MIB) DATA="$(BENCH_DATA)" $(CARGO) bench --bench index

bench-index: ROUNDS = 9

damage: COUNT = 100000

damage: ## Damage checkpoints that describe themselves COUNT times: all of it is noticed, and costs what it hits
	FDCKPT_INDEX_DAMAGE=$(COUNT) $(CARGO) test --release --test index_damage -- --nocapture

million: ## Checkpoints with a million regions: how long opening and finding one takes
	FDCKPT_INDEX_REGIONS=1000000 $(CARGO) test --release --test index -- --nocapture a_million

crash: ROUNDS = 10000

crash: ## Kill processes that save or update ROUNDS times, and look at what they leave; each state that a crash of the machine may leave
	FDCKPT_CRASH=$(ROUNDS) $(CARGO) test --release --test crash --test crash_update -- --nocapture

# The fuzzers need options of the compiler that are not stable; LZ4 is compiled to be checked for bad accesses like the rest.
FUZZ := CFLAGS="-fsanitize=address -g" RUSTC_BOOTSTRAP=1 $(CARGO) fuzz
TARGETS := round_trip restore_anything all_modes frames container_parse inflate_anything inflate_index inflate_restore fti_parse fti_update index_open

fuzz: ## Run each fuzz target for SECONDS, beginning with the kept corpus
	$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install cargo-fuzz --locked
	$(FUZZ) build --fuzz-dir fuzz
	set -e; for target in $(TARGETS); do \
	  mkdir -p fuzz/found/$$target; \
	  $(FUZZ) run --fuzz-dir fuzz $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) -max_len=4096 -print_final_stats=1; \
	done

fuzz-keep: ## Add what fuzzing found to the kept corpus, as few files as give the same coverage
	set -e; for target in $(TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  $(FUZZ) run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/found/$$target -- -merge=1 -max_len=4096; \
	done

# A package of its own, so that what it compares with does not get near the library.
bench-inflate: ## Decompress DATA (folders) by this library and by others, side by side
	cd benches/inflate && CARGO_TARGET_DIR="$(abspath $(TARGET))/bench" $(CARGO) run --release --quiet -- $(DATA) "$(CURDIR)/src" "$(CURDIR)/ctests"

sanitize: ## Run the C suite with library and programs under AddressSanitizer, UBSan (the programs) and ThreadSanitizer
	ctests/sanitize.sh address $(TARGET)/sanitize
	ctests/sanitize.sh thread $(TARGET)/sanitize

# What tells whether a change of the code is noticed: quick, and without tests of building and installing.
QUICK_TESTS := --features ctests --lib --test c_in_process --test rust_api --test identity --test corruption --test container --test container_memory --test fti --test fti_damage --test fti_update --test crash_update

ROOM ?= frame

mutants: ## Change src/ROOM in small ways, and see whether the tests notice, of which each change gets SECONDS
	$(CARGO) mutants --version >/dev/null 2>&1 || $(CARGO) install cargo-mutants --locked
	CARGO_TARGET_DIR="$(abspath $(TARGET))/mutants/tool" $(CARGO) build --release --quiet --manifest-path ctests/mutants/Cargo.toml
	SECONDS=$(SECONDS) $(TARGET)/mutants/tool/release/mutants $(TARGET)/mutants $(addprefix src/,$(ROOM))

mutants-by-hand: ## The same for exported and other unsafe functions, which cargo-mutants passes over, from a list
	ctests/mutate_shims.py $(TARGET)/mutants-by-hand $(QUICK_TESTS) --test faults

coverage: ## Lines and branches that the tests reach (installs cargo-llvm-cov; needs Debian's llvm-19 or the like)
	$(CARGO) llvm-cov --version >/dev/null 2>&1 || $(CARGO) install cargo-llvm-cov --locked
	LLVM_COV=$${LLVM_COV:-llvm-cov-19} LLVM_PROFDATA=$${LLVM_PROFDATA:-llvm-profdata-19} RUSTC_BOOTSTRAP=1 \
	  $(CARGO) llvm-cov --branch --ignore-filename-regex ctests --summary-only $(QUICK_TESTS)

# LZ4 as lz4-sys has it, and compiled with the options that lz4-sys gives, so that nothing but the code around it differs.
LZ4 = $(shell $(CARGO) metadata --format-version 1 --filter-platform "$$(rustc -vV | sed -n 's/^host: //p')" \
  | sed -n 's/.*"manifest_path":"\([^"]*\/lz4-sys-[^"]*\)\/Cargo.toml".*/\1\/liblz4\/lib/p')
LZ4_FLAGS := -O3 -ffunction-sections -fdata-sections -fPIC
BENCH := $(TARGET)/bench

# Each is built beside its name and moved there, so that nobody uses half of it.
twin: $(BENCH)/libtwin.so ## Build the yardstick: the API in plain C over LZ4, as a shared library

$(BENCH)/lz4.o: Cargo.lock
	@mkdir -p $(BENCH)
	set -e; lz4="$(LZ4)"; test -n "$$lz4"; ln -sf "$$lz4/lz4.h" $(BENCH)/; \
	$(CC) $(LZ4_FLAGS) -fvisibility=hidden -DLZ4LIB_VISIBILITY= -c -o $@.$$$$ "$$lz4/lz4.c"; mv -f $@.$$$$ $@

$(BENCH)/libtwin.so: benches/twin.c include/fd_checkpt.h $(BENCH)/lz4.o
	$(CC) -std=c11 -D_POSIX_C_SOURCE=200809L -O3 -fPIC -fvisibility=hidden -Wall -Wextra -Iinclude -I$(BENCH) \
	  -shared -o $@.$$$$ benches/twin.c $(BENCH)/lz4.o && mv -f $@.$$$$ $@

$(BENCH)/bench: benches/bench.c benches/corpus.h include/fd_checkpt.h $(BENCH)/lz4.o
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -I$(BENCH) -o $@.$$$$ benches/bench.c $(BENCH)/lz4.o -ldl && mv -f $@.$$$$ $@

# What `make bench` compares with: any library with the functions of fd_checkpt.h. The others are options of the program, which
# explains them when it is run without any.
BENCH_LIB  ?= $(BENCH)/libtwin.so
BENCH_DIR  ?= /dev/shm
BENCH_DATA ?= $(shell rustc --print target-libdir) $(shell rustc --print sysroot)/lib /usr/include /usr/share
BENCH_MIB  ?= $(if $(QUICK),32,256)
ROUNDS     ?= $(if $(QUICK),5,35)
MS         ?= $(if $(QUICK),2,8)
CLOCK      ?= cpu
JSON       ?= $(BENCH)/bench.json

bench: lib $(BENCH)/bench $(BENCH_LIB) ## Measure the library against another, the twin or BENCH_LIB (5 minutes; QUICK=1: half a minute)
	@$(BENCH)/bench --ours $(OUT)/libfdckpt.so --other $(abspath $(BENCH_LIB)) --rows '$(ROWS)' --rounds $(ROUNDS) --ms $(MS) \
	  --mib $(BENCH_MIB) --dir $(BENCH_DIR) --clock $(CLOCK) --json $(JSON) $(BENCH_DATA)
	@$(if $(QUICK)$(ROWS),,$(MAKE) --no-print-directory bench-index)
	@$(if $(ROWS),,$(MAKE) --no-print-directory bench-threads)

$(BENCH)/threads: benches/threads.c benches/corpus.h include/fd_checkpt.h include/fdckpt.h $(wildcard include/fdckpt/*.h)
	@mkdir -p $(BENCH)
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -o $@.$$$$ benches/threads.c -pthread -L$(OUT) -lfdckpt \
	  -Wl,-rpath,$(abspath $(OUT)) && mv -f $@.$$$$ $@

bench-threads: lib $(BENCH)/threads ## Measure what THREADS threads gain over one (the machine should have nothing else to do)
	@$(BENCH)/threads --threads $(THREADS) --mib $(BENCH_MIB) --rounds $(if $(QUICK),3,9) --dir $(BENCH_DIR) $(BENCH_DATA)

THREADS ?= 2

bench-plot: ## Draw what `make bench` measured last
	python3 benches/plot.py $(JSON) $(BENCH)/bench.svg

$(BENCH)/stack: benches/stack.c include/fd_checkpt.h
	@mkdir -p $(BENCH)
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -o $@.$$$$ benches/stack.c -pthread -ldl && mv -f $@.$$$$ $@

stack: lib $(BENCH)/stack $(BENCH_LIB) ## Measure how much stack each function takes
	@$(BENCH)/stack $(OUT)/libfdckpt.so $(abspath $(BENCH_LIB))

lint: ## Check formatting and the lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features ctests,tool -- -D warnings -D clippy::undocumented_unsafe_blocks
	$(CARGO) doc --no-deps

doc: ## Build the Rust documentation
	$(CARGO) doc --no-deps

deps: ## Install what some tasks can use beyond gcc, make, python3 and Rust (Debian, as root)
	apt-get update && apt-get install -y --no-install-recommends valgrind pkg-config clang liblz4-dev llvm-19

MANDIR        ?= $(PREFIX)/share/man
BASH_COMPLETE := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETE  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETE := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

install: install-lib install-tool ## Install libraries, headers, pkg-config file and the tool below PREFIX (and DESTDIR)

# The tool itself has its man pages and completions.
install-tool: $(TOOL) ## Install the tool alone, with man pages and completions for bash, zsh and fish
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(MANDIR)/man1" "$(BASH_COMPLETE)" "$(ZSH_COMPLETE)" "$(FISH_COMPLETE)"
	install -m 755 "$(TOOL)" "$(DESTDIR)$(PREFIX)/bin/fdckpt"
	install -d "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	install -m 644 LICENSE LICENSES/MIT-tool.txt docs/tool.md "$(DESTDIR)$(PREFIX)/share/doc/fdckpt/"
	"$(TOOL)" man "$(DESTDIR)$(MANDIR)/man1"
	"$(TOOL)" completions bash > "$(BASH_COMPLETE)/fdckpt"
	"$(TOOL)" completions zsh > "$(ZSH_COMPLETE)/_fdckpt"
	"$(TOOL)" completions fish > "$(FISH_COMPLETE)/fdckpt.fish"

install-lib: lib ## Install libraries, headers and pkg-config file alone
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include/fdckpt" "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	install -m 755 "$(OUT)/libfdckpt.so" "$(DESTDIR)$(LIBDIR)/libfdckpt.so.$(VERSION)"
	ln -sf libfdckpt.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libfdckpt.so"
	install -m 644 "$(OUT)/libfdckpt.a" "$(DESTDIR)$(LIBDIR)/libfdckpt.a"
	install -m 644 include/fd_checkpt.h include/fdckpt.h "$(DESTDIR)$(PREFIX)/include/"
	install -m 644 include/fdckpt/*.h "$(DESTDIR)$(PREFIX)/include/fdckpt/"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' fdckpt.pc.in \
	  > "$(DESTDIR)$(LIBDIR)/pkgconfig/fdckpt.pc"
	install -m 644 LICENSE LICENSES/BSD-2-Clause-lz4.txt LICENSES/BSD-2-Clause-fast-md5.txt README.md CHANGELOG.md "$(DESTDIR)$(PREFIX)/share/doc/fdckpt/"

uninstall: ## Remove what install installed
	cd "$(DESTDIR)$(LIBDIR)" && rm -f libfdckpt.so.$(VERSION) $(SONAME) libfdckpt.so libfdckpt.a pkgconfig/fdckpt.pc
	cd "$(DESTDIR)$(PREFIX)/include" && rm -f fd_checkpt.h fdckpt.h $(patsubst include/%,%,$(wildcard include/fdckpt/*.h))
	rmdir "$(DESTDIR)$(PREFIX)/include/fdckpt" 2>/dev/null || true
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	rm -f "$(DESTDIR)$(PREFIX)/bin/fdckpt" "$(DESTDIR)$(MANDIR)"/man1/fdckpt{,-*}.1
	rm -f "$(BASH_COMPLETE)/fdckpt" "$(ZSH_COMPLETE)/_fdckpt" "$(FISH_COMPLETE)/fdckpt.fish"

clean: ## Remove all that was built
	$(CARGO) clean
