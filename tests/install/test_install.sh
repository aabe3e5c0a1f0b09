#!/bin/sh
# Installs the build into a fresh prefix and uses it as a stranger would: compile, link, run, read the manual.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: test_install.sh TREE BUILD PREFIX-OF-THE-BUILD
tree=$1
build=$2
prefix=$3
# shellcheck source=tests/install/common.sh
. "$tree/tests/install/common.sh"

meson install -C "$build" --no-rebuild --quiet --destdir "$scratch/root" >"$scratch/log" 2>&1 || {
        cat "$scratch/log"
        die "meson install"
}
root=$scratch/root$prefix
cd "$scratch"
make_trace "$scratch/three.pcap"

for file in include/mapi.h include/mapi/function.h include/mapi/driver.h include/mapi/packet.h include/mapi/errors.h \
        lib/libmapi.so lib/libmapi-engine.so lib/pkgconfig/mapi.pc; do
        [ -f "$root/$file" ] || die "$file is not installed"
done
for header in "$tree"/include/mapi/*.h; do
        [ -f "$root/include/mapi/${header##*/}" ] || die "mapi/${header##*/} is not installed"
done
echo "ok: the files are there"

# Exactly what the tutorial says, with the prefix where compiler and loader look for it.
cp "$tree/tests/install/my_mapi_program.c" .
CPATH=$root/include LIBRARY_PATH=$root/lib gcc my_mapi_program.c -o my_mapi_program -lmapi ||
        die "gcc my_mapi_program.c -o my_mapi_program -lmapi"
expect "the tutorial's command line" "3 packets" "$(LD_LIBRARY_PATH=$root/lib ./my_mapi_program three.pcap)"

# The same through pkg-config, in every language that mapi.h is for.
export PKG_CONFIG_PATH="$root/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$scratch/root"
flags=$(pkg-config --cflags --libs mapi) || die "pkg-config does not know mapi"
expect "version in mapi.pc" "$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$tree/meson.build")" "$(pkg-config --modversion mapi)"
compile_and_run() {
        rm -f program
        # shellcheck disable=SC2086 # lists of words
        "$@" my_mapi_program.c -o program $flags || die "$* does not compile"
        expect "$*" "3 packets" "$(LD_LIBRARY_PATH=$root/lib ./program three.pcap)"
}
for compiler in gcc clang; do
        command -v $compiler >/dev/null 2>&1 || continue
        compile_and_run $compiler -Wall -Wextra -Werror -std=gnu89
        compile_and_run $compiler -Wall -Wextra -Werror -std=c17 -Wpedantic
        compile_and_run $compiler -Wall -Wextra -Werror -std=c17 -DMAPI_NO_ARG_TAGS
done
for compiler in g++ clang++; do
        command -v $compiler >/dev/null 2>&1 || continue
        compile_and_run $compiler -xc++ -Wall -Wextra -Werror -std=c++98
        compile_and_run $compiler -xc++ -Wall -Wextra -Werror -std=c++17
done

if ldd "$root/lib/libmapi.so" | grep -qE 'pcap|zstd|lz4|libz\.'; then
        die "libmapi.so brings in libraries that only the engine needs"
fi
echo "ok: libmapi.so needs little"

# Manual pages: every page of the tree is there, and readable.
pages=0
for page in "$tree"/docs/man/*.[1-9]; do
        [ -f "$page" ] || continue
        name=${page##*/}
        installed=$root/share/man/man${name##*.}/$name
        [ -f "$installed" ] || die "the manual page $name is not installed"
        if command -v mandoc >/dev/null 2>&1; then
                mandoc -T markdown "$installed" >rendered || die "mandoc cannot render $name"
                grep -q '^# NAME' rendered || die "$name renders to nothing"
        fi
        pages=$((pages + 1))
done
[ $pages -gt 0 ] || die "there is no manual page"
echo "ok: $pages manual pages"

# What the daemon's surroundings need; the configuration itself is the administrator's.
for file in lib/systemd/system/mapid.service lib/sysusers.d/mapi.conf lib/tmpfiles.d/mapi.conf \
        share/doc/mapi/examples/mapi.conf.sample share/man/man1/mapid.1; do
        [ -f "$root/$file" ] || die "$file is not installed"
done
grep -q "^ExecStart=$prefix/sbin/mapid$" "$root/lib/systemd/system/mapid.service" || die "mapid.service starts another mapid"
[ -z "$(find "$scratch/root" -name mapi.conf -path '*/etc/*')" ] || die "a configuration was installed"
echo "ok: unit, users, directories, sample"

# Without the engine a flow cannot run here, and the program is told so.
rm -f "$root"/lib/libmapi-engine.so*
status=0
said=$(LD_LIBRARY_PATH=$root/lib ./my_mapi_program three.pcap) || status=$?
expect "exit status without libmapi-engine" 1 "$status"
case $said in
"create_flow -1 error "[1-9]*libmapi-engine*) echo "ok: without the engine: $said" ;;
*) die "without libmapi-engine the program was told: $said" ;;
esac
