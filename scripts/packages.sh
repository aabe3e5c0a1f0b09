# shellcheck shell=sh disable=SC2034
# The one place that knows which Debian packages are needed, for ./demo, ./check and .ci/run. To be sourced.
# SPDX-License-Identifier: BSD-2-Clause
#
# A line: package, how its presence is seen (a command, a header, a pkg-config module, or that clang can link with an
# option), the name to look for.
# Presence is probed, not asked of dpkg, so that the scripts also serve machines that are not Debian.

packages_to_build='
gcc            command gcc
libc6-dev      header  stdio.h
pkg-config     command pkg-config
ninja-build    command ninja
meson          command meson
libpcap-dev    module  libpcap
libevent-dev   module  libevent
libcap-ng-dev  module  libcap-ng
libseccomp-dev module  libseccomp
libprotobuf-c-dev    module  libprotobuf-c
protobuf-c-compiler  command protoc-c
zlib1g-dev     module  zlib
libzstd-dev    module  libzstd
liblz4-dev     module  liblz4
'

# Without these ./check cannot run.
packages_to_test='
python3        command python3
binutils       command nm
make           command make
libcmocka-dev  module  cmocka
'

# Without these ./check runs and skips what needs them.
packages_to_test_fully='
g++            command g++
git            command git
mandoc         command mandoc
tcpdump        command tcpdump
iproute2       command ip
clang-format   command clang-format
'

# What .ci/run needs besides. The symbolizer gives sanitizer reports line numbers.
packages_to_ci='
clang               command clang
libclang-rt-14-dev  clang   -fsanitize=fuzzer-no-link,address,undefined
llvm                command llvm-symbolizer
'

# packages_missing LIST: prints the packages of the list that are not there.
packages_missing() {
        printf '%s\n' "$1" | while read -r package kind name; do
                case $kind in
                command) command -v "$name" >/dev/null 2>&1 || echo "$package" ;;
                header) echo "#include <$name>" | gcc -E - >/dev/null 2>&1 || echo "$package" ;;
                clang) echo 'int main(void) { return 0; }' | clang "$name" -xc -o /dev/null - >/dev/null 2>&1 || echo "$package" ;;
                module) pkg-config --exists "$name" 2>/dev/null || echo "$package" ;;
                esac
        done
}

# packages_install PROGRAM LIST: installs what the list has and the machine has not, if this is a Debian on which we
# may. MAPI_NO_INSTALL=1 forbids it. What is then still missing is left in packages_still_missing.
packages_install() {
        packages_still_missing=$(packages_missing "$2" | tr '\n' ' ')
        [ -n "$packages_still_missing" ] || return 0
        packages_as=
        if [ -n "${MAPI_NO_INSTALL:-}" ] || ! command -v apt-get >/dev/null 2>&1; then
                return 0
        elif [ "$(id -u)" -ne 0 ]; then
                command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || return 0
                packages_as='sudo -n'
        fi
        echo "$1: installing $packages_still_missing"
        packages_log=$(mktemp)
        # A failing update is not the end: the lists at hand may do.
        $packages_as env DEBIAN_FRONTEND=noninteractive apt-get -q update >"$packages_log" 2>&1 </dev/null || true
        # shellcheck disable=SC2086 # both are lists of words
        $packages_as env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
                $packages_still_missing >>"$packages_log" 2>&1 </dev/null || tail -n 15 "$packages_log" >&2
        rm -f "$packages_log"
        packages_still_missing=$(packages_missing "$2" | tr '\n' ' ')
}

# packages_need PROGRAM LIST: the same, and stops with a sentence if something is missing in the end.
packages_need() {
        packages_install "$1" "$2"
        [ -n "$packages_still_missing" ] || return 0
        {
                echo "$1: these Debian packages are missing and could not be installed: $packages_still_missing"
                echo "$1: as root: apt-get update && apt-get install $packages_still_missing"
        } >&2
        exit 1
}
