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

.PHONY: help build lib headers demo test valgrind lint doc deps install uninstall clean

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the shared library and the crate as cargo makes them
	$(CARGO) build --release

# Built apart, since without the rlib cargo applies link-time optimisation. The archive that cargo makes has LZ4's and Rust's symbols
# as global ones, which would get in the way of a program's own: linked into one object, only the API stays global. What is
# there is replaced in one step, so that nobody finds half of it.
LTO := $(TARGET)/lto
NEW := $(OUT)/new

lib: ## Build the libraries for linking: libfdckpt.so with its soname link, and libfdckpt.a
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib --target-dir $(LTO)
	@rm -rf $(NEW) && mkdir -p $(NEW)
	cp $(LTO)/release/libfdckpt.so $(NEW)/
	ln -s libfdckpt.so $(NEW)/$(SONAME)
	ld -r $$(nm -D --defined-only $(NEW)/libfdckpt.so | awk '{ print "-u " $$3 }') $(LTO)/release/libfdckpt.a -o $(NEW)/libfdckpt.o
	objcopy --wildcard --keep-global-symbol='fd_checkpt_*' --keep-global-symbol='fd_restore_*' --keep-global-symbol='fdckpt_*' \
	  --remove-section .llvmbc --remove-section .llvmcmd --strip-debug $(NEW)/libfdckpt.o
	ar rcs $(NEW)/libfdckpt.a $(NEW)/libfdckpt.o
	@mv -f $(NEW)/libfdckpt.so $(NEW)/$(SONAME) $(NEW)/libfdckpt.a $(OUT)/ && rm -r $(NEW)

headers: ## Generate include/*.h from src/capi
	FDCKPT_WRITE_HEADERS=1 $(CARGO) test --quiet --test headers up_to_date

# What the demo reads: a file or a folder. By default the Rust toolchain's own libraries, some 150 MB.
DATA ?= $(shell rustc --print target-libdir)

STAGE := $(abspath $(TARGET))/demo

demo: lib ## Build, install to a staging folder, compile examples/demo.c against that, and run it on DATA
	@$(MAKE) --no-print-directory --silent install-files PREFIX=$(STAGE)/usr LIBDIR=$(STAGE)/usr/lib DESTDIR=
	@set -e; \
	if command -v pkg-config >/dev/null; then \
	  flags=$$(PKG_CONFIG_PATH=$(STAGE)/usr/lib/pkgconfig pkg-config --cflags --libs fdckpt); \
	else \
	  echo "pkg-config is not installed: using the flags that it would print"; \
	  flags="-I$(STAGE)/usr/include -L$(STAGE)/usr/lib -lfdckpt"; \
	fi; \
	set -x; \
	$(CC) -O2 -o $(STAGE)/demo examples/demo.c -pthread $$flags -Wl,-rpath,$(STAGE)/usr/lib; \
	$(STAGE)/demo "$(DATA)"

# libclang for comparing the headers with the Rust code, without root.
VENV     := $(TARGET)/venv
CLANG_SO  = $(dir $(firstword $(wildcard $(abspath $(VENV))/lib/python3*/site-packages/clang/native/libclang.so)))
CLANG_ENV = LIBCLANG_PATH=$(CLANG_SO) BINDGEN_EXTRA_CLANG_ARGS=-I$$($(CC) -print-file-name=include)

$(VENV)/libclang:
	@rm -rf $(VENV)
	@if python3 -m venv $(VENV) && $(VENV)/bin/pip install --quiet --disable-pip-version-check libclang; \
	then touch $@; else echo "libclang can't be installed here: the headers are not compared by it"; fi

test: $(VENV)/libclang ## Run all tests
	@for tool in valgrind clang g++ pkg-config; do command -v $$tool >/dev/null || echo "$$tool is not installed: what needs it is skipped"; done
	@set -o pipefail; if [ -f $(VENV)/libclang ]; then export $(CLANG_ENV); features="--features bindgen"; fi; \
	$(CARGO) test $$features 2>&1 | ctests/summary.sh

valgrind: ## Run the whole C test suite under valgrind (a minute)
	$(CARGO) test --test c_suite -- --ignored --nocapture valgrind

lint: ## Check formatting and the lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings -D clippy::undocumented_unsafe_blocks
	$(CARGO) doc --no-deps

doc: ## Build the Rust documentation
	$(CARGO) doc --no-deps

deps: ## Install what some tasks can use beyond gcc, make, python3 and Rust (Debian, as root)
	apt-get update && apt-get install -y --no-install-recommends valgrind pkg-config clang liblz4-dev

install: lib install-files ## Install libraries, headers and pkg-config file below PREFIX (and DESTDIR)

install-files:
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/doc/fdckpt
	install -m 755 $(OUT)/libfdckpt.so $(DESTDIR)$(LIBDIR)/libfdckpt.so.$(VERSION)
	ln -sf libfdckpt.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libfdckpt.so
	install -m 644 $(OUT)/libfdckpt.a $(DESTDIR)$(LIBDIR)/libfdckpt.a
	install -m 644 include/fd_checkpt.h include/fdckpt.h $(DESTDIR)$(PREFIX)/include/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' fdckpt.pc.in \
	  > $(DESTDIR)$(LIBDIR)/pkgconfig/fdckpt.pc
	install -m 644 LICENSE LICENSES/BSD-2-Clause-lz4.txt README.md CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/fdckpt/

uninstall: ## Remove what install installed
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libfdckpt.so.$(VERSION) $(SONAME) libfdckpt.so libfdckpt.a pkgconfig/fdckpt.pc)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/include/,fd_checkpt.h fdckpt.h)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/fdckpt

clean: ## Remove all that was built
	$(CARGO) clean
