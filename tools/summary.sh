#!/bin/sh
# Passes on what `cargo test` prints, and adds up its results in a last line.
exec awk '
  { print; fflush() }
  /^test result:/ { passed += $4; failed += $6; skipped += $8 }
  /^error/ { broken = 1 }
  END { if( broken && !failed ) failed = 1; printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }
'
