# shellcheck shell=sh
# What the installation tests share. To be sourced with $tree set to the source tree.
# SPDX-License-Identifier: BSD-2-Clause
set -eu
unset MAPI_BACKEND MAPI_DEBUG MAPI_DEVICE_MAP MAPI_SOCKET CPATH LIBRARY_PATH LD_LIBRARY_PATH DESTDIR MAKEFLAGS || true

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

die() {
        echo "FAILED: $*"
        exit 1
}

# expect WHAT WANTED GOT
expect() {
        [ "$2" = "$3" ] || die "$1: wanted '$2', got '$3'"
        echo "ok: $1"
}

# A pcap file of three packets of 60 bytes.
make_trace() {
        {
                printf '\324\303\262\241\002\000\004\000\000\000\000\000\000\000\000\000\377\377\000\000\001\000\000\000'
                for second in 1 2 3; do
                        # shellcheck disable=SC2059 # the format is the data
                        printf "\\00$second\\000\\000\\000\\000\\000\\000\\000\\074\\000\\000\\000\\074\\000\\000\\000"
                        dd if=/dev/zero bs=60 count=1 2>/dev/null
                done
        } >"$1"
}
