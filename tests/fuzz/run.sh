#!/bin/sh
# Runs every fuzz target for a while, two at a time; what a target finds is kept and shown.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: tests/fuzz/run.sh SECONDS BUILD [TARGET]...
#        BUILD: a build directory with -Dfuzz=true, set up with CC=clang
# Crashing inputs are left in BUILD/fuzz-findings; put them into corpus/TARGET/ with the fix.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

# One target, called below.
if [ "${1:-}" = --one ]; then
        seconds=$2
        findings=$3
        program=$4
        target=${program##*/}
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        mkdir "$scratch/corpus" "$scratch/tmp"
        [ ! -d "$here/corpus/$target" ] || cp -R "$here/corpus/$target/." "$scratch/corpus"
        status=0
        TMPDIR=$scratch/tmp UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
                "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
                -artifact_prefix="$findings/$target-" "$scratch/corpus" >"$scratch/log" 2>&1 </dev/null || status=$?
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/log")
        if [ $status -ne 0 ]; then
                tail -n 60 "$scratch/log"
                echo "$target: FAILED, exit status $status; the input is in $findings"
                exit 1
        fi
        echo "$target: ${runs:-?} inputs in $seconds s, $(find "$scratch/corpus" -type f | wc -l) seeds at the end"
        exit 0
fi

[ $# -ge 2 ] || { echo "Usage: $0 SECONDS BUILD [TARGET]..." >&2; exit 2; }
seconds=$1
build=$2
shift 2
mkdir -p "$build/fuzz-findings"
findings=$(CDPATH='' cd -- "$build/fuzz-findings" && pwd -P)

programs=$(find "$build/tests/fuzz" -maxdepth 1 -type f -name 'fuzz_*' | sort)
[ $# -eq 0 ] || programs=$(for target in "$@"; do echo "$build/tests/fuzz/$target"; done)
[ -n "$programs" ] || { echo "no fuzz target in $build; is it set up with -Dfuzz=true?"; exit 1; }

# A target writes its lines when it ends, so the two at work do not mix.
if ! echo "$programs" | xargs -n 1 -P 2 "$here/run.sh" --one "$seconds" "$findings"; then
        for input in "$findings"/*; do
                [ -f "$input" ] || continue
                echo "${input##*/}, base64:"
                base64 "$input" | head -n 40
        done
        exit 1
fi
