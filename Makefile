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

.PHONY: help build lib headers demo test valgrind faults identity corruption fuzz fuzz-keep bench-inflate sanitize mutants mutants-by-hand coverage lint doc deps install uninstall clean

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

headers: ## Generate include/*.h from src/capi
	FDCKPT_WRITE_HEADERS=1 $(CARGO) test --quiet --test headers up_to_date

# What the demo reads: a file or a folder. By default the Rust toolchain's own libraries, some 150 MB.
DATA ?= $(shell rustc --print target-libdir)

demo: lib ## Build, install to a staging folder, compile examples/demo.c against that, and run it on DATA
	@set -e; mkdir -p "$(TARGET)/demo"; stage=$$(cd "$(TARGET)/demo" && pwd); \
	$(MAKE) --no-print-directory --silent install PREFIX="$$stage/usr" LIBDIR="$$stage/usr/lib" DESTDIR=; \
	flags=(-I"$$stage/usr/include" -L"$$stage/usr/lib" -lfdckpt); \
	if command -v pkg-config >/dev/null; then \
	  eval "flags=($$(PKG_CONFIG_PATH="$$stage/usr/lib/pkgconfig" pkg-config --cflags --libs fdckpt))"; \
	else \
	  echo "pkg-config is not installed: using the flags that it would print"; \
	fi; \
	set -x; \
	$(CC) -O2 -o "$$stage/demo" examples/demo.c -pthread "$${flags[@]}" -Wl,-rpath,"$$stage/usr/lib"; \
	"$$stage/demo" "$(DATA)"

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
	@set -o pipefail; features=ctests; \
	if [ -f $(VENV)/libclang ]; then \
	  features=ctests,bindgen; \
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

corruption: ## Damage checkpoints COUNT times, and tell how much of it goes unnoticed
	FDCKPT_CORRUPTION=$(COUNT) $(CARGO) test --release --test corruption -- --nocapture --test-threads 1

# The fuzzers need options of the compiler that are not stable; LZ4 is compiled to be checked for bad accesses like the rest.
FUZZ := CFLAGS="-fsanitize=address -g" RUSTC_BOOTSTRAP=1 $(CARGO) fuzz
TARGETS := round_trip restore_anything all_modes inflate_anything inflate_restore

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
QUICK := --features ctests --lib --test c_in_process --test rust_api --test identity --test corruption

ROOM ?= codec

mutants: ## Change src/ROOM in small ways, one at a time, and see whether the tests notice (an hour a room)
	$(CARGO) mutants --version >/dev/null 2>&1 || $(CARGO) install cargo-mutants --locked
	FDCKPT_IDENTITY=500 FDCKPT_CORRUPTION=500 $(CARGO) mutants --output $(TARGET) --file 'src/$(ROOM)/**' --cap-lints true -- $(QUICK)

mutants-by-hand: ## The same for exported and other unsafe functions, which cargo-mutants passes over, from a list
	ctests/mutate_shims.py $(TARGET)/mutants-by-hand $(QUICK) --test faults

coverage: ## Lines and branches that the tests reach (installs cargo-llvm-cov; needs Debian's llvm-19 or the like)
	$(CARGO) llvm-cov --version >/dev/null 2>&1 || $(CARGO) install cargo-llvm-cov --locked
	LLVM_COV=$${LLVM_COV:-llvm-cov-19} LLVM_PROFDATA=$${LLVM_PROFDATA:-llvm-profdata-19} RUSTC_BOOTSTRAP=1 \
	  $(CARGO) llvm-cov --branch --ignore-filename-regex ctests --summary-only $(QUICK)

lint: ## Check formatting and the lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features ctests -- -D warnings -D clippy::undocumented_unsafe_blocks
	$(CARGO) doc --no-deps

doc: ## Build the Rust documentation
	$(CARGO) doc --no-deps

deps: ## Install what some tasks can use beyond gcc, make, python3 and Rust (Debian, as root)
	apt-get update && apt-get install -y --no-install-recommends valgrind pkg-config clang liblz4-dev llvm-19

install: lib ## Install libraries, headers and pkg-config file below PREFIX (and DESTDIR)
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"
	install -m 755 "$(OUT)/libfdckpt.so" "$(DESTDIR)$(LIBDIR)/libfdckpt.so.$(VERSION)"
	ln -sf libfdckpt.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libfdckpt.so"
	install -m 644 "$(OUT)/libfdckpt.a" "$(DESTDIR)$(LIBDIR)/libfdckpt.a"
	install -m 644 include/fd_checkpt.h include/fdckpt.h "$(DESTDIR)$(PREFIX)/include/"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' fdckpt.pc.in \
	  > "$(DESTDIR)$(LIBDIR)/pkgconfig/fdckpt.pc"
	install -m 644 LICENSE LICENSES/BSD-2-Clause-lz4.txt README.md CHANGELOG.md "$(DESTDIR)$(PREFIX)/share/doc/fdckpt/"

uninstall: ## Remove what install installed
	cd "$(DESTDIR)$(LIBDIR)" && rm -f libfdckpt.so.$(VERSION) $(SONAME) libfdckpt.so libfdckpt.a pkgconfig/fdckpt.pc
	cd "$(DESTDIR)$(PREFIX)/include" && rm -f fd_checkpt.h fdckpt.h
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/fdckpt"

clean: ## Remove all that was built
	$(CARGO) clean
