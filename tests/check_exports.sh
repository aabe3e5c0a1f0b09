#!/bin/sh
# Compares the symbols that the shared libraries export with what they should.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: check_exports.sh LIBMAPI LIST         exactly the names of the list
#        check_exports.sh LIBMAPI_ENGINE       names that begin with mapi_, and host_ and plugin_ for mapid alone
set -eu
LC_ALL=C
export LC_ALL

library=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Version names (MAPI_0) are listed too, as absolute symbols: they are not names that a program could meet.
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$scratch/there"
[ -s "$scratch/there" ] || { echo "$library exports nothing"; exit 1; }

if [ $# -eq 2 ]; then
        grep -v -e '^#' -e '^$' "$2" | sort >"$scratch/wanted"
        diff -U 0 --label "wanted" --label "$library" "$scratch/wanted" "$scratch/there" || exit 1
else
        if grep -v -e '^mapi_' -e '^host_' -e '^plugin_' "$scratch/there"; then
                echo "exported by $library, but not names of ours"
                exit 1
        fi
fi
echo "$(wc -l <"$scratch/there") symbols, as they should be"
