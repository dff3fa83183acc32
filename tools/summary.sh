#!/usr/bin/env bash
# Passes on what `cargo test` prints, each line as it comes, and adds up the results in the last line. Before it, lists what
# the tests had to leave out (FDCKPT_TEST_SKIPPED). Not awk: mawk reads a pipe by blocks, and shows nothing for minutes.
passed=0 failed=0 skipped=0 broken=0
result='^test result: .* ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored'
while IFS= read -r line || [ -n "$line" ]; do
  printf '%s\n' "$line"
  if [[ $line =~ $result ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
  elif [[ $line == error* ]]; then
    broken=1
  fi
done
if [ -s "${FDCKPT_TEST_SKIPPED:-}" ]; then
  echo "Not run:"
  sort -u "$FDCKPT_TEST_SKIPPED" | sed 's/^/  /'
fi
# A compile error, a test program that crashed, or nothing that ran at all.
if [ $((broken || !passed)) = 1 ] && [ "$failed" = 0 ]; then failed=1; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
