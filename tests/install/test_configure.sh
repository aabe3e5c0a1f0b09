#!/bin/sh
# Walks the old way: configure in a directory of its own, make, make install with and without DESTDIR, make uninstall.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: test_configure.sh TREE
tree=$1
# shellcheck source=tests/install/common.sh
. "$tree/tests/install/common.sh"

mkdir "$scratch/out"
cd "$scratch/out"

refused() {
        sentence=$1
        shift
        if "$tree/configure" --prefix="$scratch/usr" "$@" >refused.log 2>&1; then
                die "configure $* was not refused"
        fi
        grep -q "$sentence" refused.log || { cat refused.log; die "configure $*: not the sentence '$sentence'"; }
        [ ! -e Makefile ] || die "configure $* left a Makefile"
}
for part in dimapi ssl dag napatech trackflib anonflib ipfixflib extraflib; do
        refused "this version of MAPI does not have $part" --enable-$part
done
refused 'there is no part nonsense' --enable-nonsense
refused 'there is no part nonsense' --disable-nonsense
refused 'unknown option' --nonsense
refused 'absolute path' --prefix=relative
refused 'needs a value' --libdir
rm refused.log
echo "ok: what cannot be built is refused"

"$tree/configure" --help | grep -q -- '--enable-funcstats' || die "configure --help"

make_log() {
        make -s "$@" >log 2>&1 || { cat log; die "make $*"; }
}
"$tree/configure" --prefix="$scratch/usr" --disable-dimapi --disable-ssl --disable-dag --disable-napatech \
        --disable-trackflib --disable-anonflib --disable-ipfixflib --disable-extraflib --enable-funcstats \
        --disable-tests --disable-bench --build "$scratch/objects" CC=gcc CFLAGS='-O1 -g0' >log 2>&1 ||
        { cat log; die "configure"; }
[ -f "$scratch/objects/build.ninja" ] || die "--build was not heeded"
expect "files beside the build directory" "Makefile log" "$(echo *)"
grep -q -- '-O1' "$scratch/objects/build.ninja" || die "CFLAGS was not heeded"
grep -q 'MAPI_FUNCSTATS 1' "$scratch/objects/mapi_config.h" || die "--enable-funcstats was not heeded"

make_log
make_log install DESTDIR="$scratch/staged"
[ -f "$scratch/staged$scratch/usr/lib/libmapi.so" ] || die "DESTDIR was not heeded"
[ ! -e "$scratch/usr" ] || die "DESTDIR was not heeded everywhere"
make_log install
make_trace "$scratch/three.pcap"
cp "$tree/tests/install/my_mapi_program.c" "$scratch"
(cd "$scratch" && CPATH=$scratch/usr/include LIBRARY_PATH=$scratch/usr/lib \
        gcc my_mapi_program.c -o my_mapi_program -lmapi) || die "the program does not compile"
expect "a program against the installed library" "3 packets" \
        "$(LD_LIBRARY_PATH=$scratch/usr/lib "$scratch/my_mapi_program" "$scratch/three.pcap")"
make_log uninstall
expect "files left by make uninstall" "" "$(find "$scratch/usr" ! -type d)"
make_log clean
[ ! -e "$scratch/objects/src/libmapi.so" ] || die "make clean left libmapi.so"

# A second run forgets the options of the first.
"$tree/configure" --prefix="$scratch/usr2" --build "$scratch/objects" --disable-tests >log 2>&1 || { cat log; die "configure again"; }
grep -q 'MAPI_FUNCSTATS 0' "$scratch/objects/mapi_config.h" || die "an option of an earlier run lives on"
echo "ok: configured again"
