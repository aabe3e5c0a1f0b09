#!/bin/sh
# Compares every trace at hand with what tcpdump (all records, byte by byte) and capinfos (counts) make of it, also
# compressed and through a pipe.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: compare_traces.sh TRACE_COPY FOLDER...
set -eu
LC_ALL=C
export LC_ALL

copy=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

command -v tcpdump >/dev/null 2>&1 || { echo "skipped: no tcpdump here"; exit 77; }

fail() {
        echo "$*"
        failed=$((failed + 1))
}

# The records without the file header, which names another snaplen.
records() {
        tail -c +25 "$1"
}

compared=0
failed=0
for folder in "$@"; do
        for trace in "$folder"/*.pcap "$folder"/*.pcapng; do
                [ -f "$trace" ] || continue
                # tcpdump reads no file with several link types, and says so.
                tcpdump --time-stamp-precision=nano -r "$trace" -w "$scratch/theirs" 2>"$scratch/tcpdump" || true
                if grep -q 'different from the type of the first interface' "$scratch/tcpdump"; then
                        continue
                fi
                if ! sums=$("$copy" "$trace" "$scratch/ours" 2>"$scratch/error"); then
                        fail "$trace: $(cat "$scratch/error")"
                        continue
                fi
                compared=$((compared + 1))
                records "$scratch/theirs" >"$scratch/their-records"
                records "$scratch/ours" >"$scratch/our-records"
                cmp -s "$scratch/their-records" "$scratch/our-records" ||
                        fail "$trace: not the records that tcpdump reads"
                if command -v capinfos >/dev/null 2>&1 && [ ! -s "$scratch/error" ]; then
                        theirs=$(capinfos -T -r -M -c -d "$trace" 2>/dev/null | cut -f 2-3 | tr '\t' ' ')
                        [ "$theirs" = "$(echo "$sums" | cut -d ' ' -f 1-2)" ] ||
                                fail "$trace: capinfos says $theirs, we say $sums"
                fi
                # Through a pipe, and compressed by the commands that are here.
                cat "$trace" | "$copy" /dev/stdin "$scratch/again" >/dev/null 2>&1 || true
                cmp -s "$scratch/ours" "$scratch/again" || fail "$trace: other packets through a pipe"
                for tool in gzip zstd lz4; do
                        command -v $tool >/dev/null 2>&1 || continue
                        $tool -c <"$trace" >"$scratch/compressed" 2>/dev/null
                        if ! "$copy" "$scratch/compressed" "$scratch/again" >/dev/null 2>"$scratch/error"; then
                                grep -q 'which this build of MAPI cannot read' "$scratch/error" ||
                                        fail "$trace, $tool: $(cat "$scratch/error")"
                                continue
                        fi
                        cmp -s "$scratch/ours" "$scratch/again" || fail "$trace: other packets out of $tool"
                done
        done
done
echo "$compared traces compared, $failed differ"
[ "$compared" -gt 0 ] || { echo "skipped: no traces here"; exit 77; }
[ "$failed" -eq 0 ]
