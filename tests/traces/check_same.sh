#!/bin/sh
# Test: make_trace makes the traces of this folder again, byte for byte: check_same.sh MAKE_TRACE
# SPDX-License-Identifier: BSD-2-Clause
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/mapi-traces.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

sh "$here/remake.sh" "$1" "$tmp"
failed=0
for made in "$tmp"/*; do
        file=${made##*/}
        if cmp "$made" "$here/$file"; then
                echo "same: $file"
        else
                failed=1
        fi
done
for kept in "$here"/*.pcap "$here"/*.pcapng; do
        if [ ! -e "$tmp/${kept##*/}" ]; then
                echo "not made by remake.sh: ${kept##*/}"
                failed=1
        fi
done
exit $failed
