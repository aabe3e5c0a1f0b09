# shellcheck shell=sh disable=SC2154
# What bench/run and bench/live do before they measure: packages, a release build of this tree, a trace. To be sourced, with
# $top set and $program for messages. SPDX-License-Identifier: BSD-2-Clause

# shellcheck source=scripts/packages.sh
. "$top/scripts/packages.sh"

stop() {
        echo "$program: $*" >&2
        exit 2
}

build_it() {
        if [ ! -e "$build/build.ninja" ]; then
                echo "$program: building, this takes a minute" >&2
                meson setup --buildtype=release -Dtests=disabled -Dbench=enabled "$build" "$top" || return 1
        fi
        ninja -C "$build"
}

# Sets build to the folder of a finished build.
prepare_build() {
        packages_need "$program" "$packages_to_build"
        build=${MAPI_BENCH_BUILD:-$top/build/bench}
        log=$(mktemp)
        made=
        trap 'rm -f "$log" ${made:+"$made"}' EXIT
        trap 'exit 130' INT TERM
        if ! build_it >"$log" 2>&1 </dev/null; then
                cat "$log" >&2
                stop "the build failed, see above; rm -r $build starts afresh"
        fi
        # The bench is about this build, not about a daemon or a device map that may be here.
        unset MAPI_DEVICE_MAP MAPI_DEBUG MAPI_SOCKET MAPI_CONF
}

# prepare_trace PACKETS: sets trace to one of invented traffic, the same everywhere, 350 bytes for each packet.
prepare_trace() {
        trace=$build/bench-$1.pcap
        [ ! -e "$trace" ] || return 0
        echo "$program: making $trace" >&2
        made=$trace.part
        "$build/bench/make_trace" -n "$1" -o "$made" || stop "no trace could be made in $build"
        mv "$made" "$trace"
        made=
}
