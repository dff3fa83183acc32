#!/usr/bin/env bash
# Runs the C suite with library and programs built for a sanitizer: tools/sanitize.sh address|thread TARGET_DIR
#
# The library is built with the sanitizer too, so that errors inside it are seen from a C host; the compiler options for that
# are not stable. LZ4 and the programs are compiled by gcc, whose runtime serves all of it.
set -euo pipefail
cd "$(dirname "$0")/.."
sanitizer=$1 target=$2
host=$(rustc -vV | sed -n 's/^host: //p')
out=$target/$sanitizer
golden=tests/golden/frames

rust_flags=-Zsanitizer=$sanitizer
c_flags="-fsanitize=$sanitizer -g"
case $sanitizer in
  # Without "host": gcc's runtime reports its own sigaltstack at the end of a thread that is cancelled.
  address) programs="golden_trace abi io corruption threads log container fti frames checkpoint"; host_flags="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
  # The standard library is not built for it; it has no part in the threaded code.
  thread) programs="threads host_environment container fti frames checkpoint"; host_flags=-fsanitize=thread; rust_flags+=" -Cunsafe-allow-abi-mismatch=sanitizer" ;;
esac

CFLAGS=$c_flags RUSTC_BOOTSTRAP=1 RUSTFLAGS=$rust_flags \
  cargo rustc --quiet --lib --crate-type cdylib --target "$host" --target-dir "$out"
library=$(cd "$out/$host/debug" && pwd)
ln -sf libfdckpt.so "$library/libfdckpt.so.0"

# LLVM calls these, gcc's runtime watches the plain ones.
shims=()
if [ "$sanitizer" = thread ]; then
  shims=("$out/shims.c")
  cat > "${shims[0]}" <<'C'
#include <string.h>
void * __tsan_memcpy ( void * d, void const * s, size_t n ) { return memcpy ( d, s, n ); }
void * __tsan_memmove( void * d, void const * s, size_t n ) { return memmove( d, s, n ); }
void * __tsan_memset ( void * d, int c, size_t n )          { return memset ( d, c, n ); }
C
fi

failed=0
for program in $programs; do
  gcc -std=c11 -O1 -g $host_flags -Iinclude -pthread -o "$out/$program" "ctests/c_api/$program.c" "${shims[@]}" \
    -L"$library" -lfdckpt -Wl,-rpath,"$library"
  arguments=()
  if [ "$program" = golden_trace ]; then arguments=("$golden"); fi
  if ! FDCKPT_LOG= ASAN_OPTIONS=allocator_may_return_null=1 TSAN_OPTIONS=halt_on_error=0 "$out/$program" "${arguments[@]}"; then
    failed=$((failed + 1))
  fi
done
echo "sanitizer $sanitizer: $(wc -w <<< "$programs") programs, $failed failed"
exit $((failed > 0))
