#!/bin/sh
# Looks at the files of the tree: format of C, tabs, line and file length, words that must not be there, manual pages.
# SPDX-License-Identifier: BSD-2-Clause
#
# Usage: check_style.sh TREE format|text|manual
set -eu
LC_ALL=C
export LC_ALL

cd "$1"
faults=0
fault() {
        echo "$*"
        faults=$((faults + 1))
}

# The tree's own files: tracked ones and new ones that are not ignored; without git, everything but build directories.
files() {
        if [ -e .git ] && git ls-files >/dev/null 2>&1; then
                git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r path; do
                        [ ! -f "$path" ] || echo "$path"
                done
        else
                for pattern in "$@"; do
                        find . -path ./build -prune -o -type f -path "./$pattern" -print
                done | sed 's,^\./,,' | sort -u
        fi
}

# The tutorial's listings are as their authors wrote them.
c_files() {
        files '*.c' '*.h' | grep -v '^tests/tutorial/.*listing' || true
}

check_format() {
        if ! command -v clang-format >/dev/null 2>&1; then
                echo "skipped: no clang-format here"
                exit 77
        fi
        case $(clang-format --version) in
        *"version 14."*) ;;
        *) echo "skipped: formats differ between versions, and this is not clang-format 14"; exit 77 ;;
        esac
        paths=$(c_files)
        [ -n "$paths" ] || fault "there is no C file"
        for path in $paths; do
                clang-format --dry-run -Werror "$path" 2>/dev/null || fault "$path: clang-format -i changes it"
        done
}

# The words are put together here so that this file may hold them.
forbidden="TO""DO|FIX""ME|/wo""rk/|/ro""ot/|/home/[a-z]"

check_text() {
        tab=$(printf '\t')
        paths=$(files '*.c' '*.h' '*.py' '*.sh' '*.build' '*.txt' '*.md' configure check demo '.ci/run')
        [ -n "$paths" ] || fault "there is no file"
        for path in $paths; do
                case $path in
                *.c | *.h | *.py | *.sh | *.build)
                        ! grep -n "$tab" "$path" /dev/null || fault "$path: tabs"
                        ;;
                esac
                case $path in
                *.c | *.h | *.py | *.sh | *.build | configure | check | demo | .ci/run)
                        ! grep -nE '[[:space:]]$' "$path" /dev/null || fault "$path: blanks at the end of a line"
                        grep -q 'SPDX-License-Identifier: BSD-2-Clause' "$path" || case $path in
                        *.build) ;;
                        *) fault "$path: no line SPDX-License-Identifier: BSD-2-Clause" ;;
                        esac
                        ;;
                esac
                ! grep -nE "$forbidden" "$path" /dev/null || fault "$path: a word that must not be in the tree"
                case $path in
                *.c | *.h)
                        lines=$(wc -l <"$path")
                        if [ "$lines" -gt 1000 ]; then
                                fault "$path: $lines lines; 1000 is the limit"
                        elif [ "$lines" -gt 600 ]; then
                                echo "note: $path has $lines lines; is it two files?"
                        fi
                        ;;
                esac
        done
}

# A test folder that nobody calls is a silent loss.
check_reached() {
        for path in $(files 'tests/*/meson.build' 'tests/*/*/meson.build'); do
                folder=${path#tests/}
                folder=${folder%/meson.build}
                grep -q "'$folder'" tests/meson.build || fault "$path: tests/meson.build does not go there"
        done
}

check_manual() {
        if ! command -v mandoc >/dev/null 2>&1; then
                echo "skipped: no mandoc here"
                exit 77
        fi
        pages=$(files 'docs/man/*.[1-9]')
        [ -n "$pages" ] || fault "there is no manual page"
        for page in $pages; do
                grep -q "'${page##*/}'" docs/man/meson.build || fault "$page: not installed by docs/man/meson.build"
                mandoc -T lint -W warning "$page" || fault "$page: see above"
        done
}

case $2 in
format) check_format ;;
text) check_text; check_reached ;;
manual) check_manual ;;
*) echo "unknown check $2"; exit 2 ;;
esac
echo "$faults faults"
[ $faults -eq 0 ]
