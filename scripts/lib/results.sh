# shellcheck shell=bash
#
# results.sh - adds up what cmocka and pytest said, and names what was skipped and why
#
#     sum_results FOLDER        cmocka-*.log and pytest-*.log; the last line is "N passed, N failed, N skipped"

sum_results() {
  local folder=$1 passed=0 failed=0 skipped=0 n
  while read -r n; do passed=$((passed + n)); done < <(sed -nE 's/^\[  PASSED  \] ([0-9]+) test\(s\).*/\1/p' "$folder"/cmocka-*.log)
  while read -r n; do failed=$((failed + n)); done < <(sed -nE 's/^\[  FAILED  \] ([0-9]+) test\(s\).*/\1/p' "$folder"/cmocka-*.log)
  while read -r n; do skipped=$((skipped + n)); done < <(sed -nE 's/^\[  SKIPPED \] ([0-9]+) test\(s\).*/\1/p' "$folder"/cmocka-*.log)
  passed=$((passed + $(pytest_count "$folder" passed)))
  failed=$((failed + $(pytest_count "$folder" failed) + $(pytest_count "$folder" 'errors?')))
  skipped=$((skipped + $(pytest_count "$folder" skipped)))
  if ((skipped)); then
    printf 'skipped, and what each lacked:\n'
    grep -h '^skipped: ' "$folder"/cmocka-*.log | sort | uniq -c || true
    grep -h '^SKIPPED ' "$folder"/pytest-*.log | sort | uniq -c || true
  fi
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

pytest_count() {
  local n total=0
  while read -r n; do total=$((total + n)); done < <(sed -nE "s/^(.*[^0-9])?([0-9]+) $2(,.*)? in [0-9.]+s.*/\2/p" "$1"/pytest-*.log)
  printf '%d' "$total"
}
