#!/usr/bin/env python3
"""Every public header compiles alone, in every language it is for, and defines no names but ours.

SPDX-License-Identifier: BSD-2-Clause

Usage: check_headers.py INCLUDE-DIRECTORY LIST-OF-HISTORIC-NAMES
       check_headers.py --self-test

Ours are mapi_x, MAPI_X, the historic names of the list and the error codes of <mapi/errors.h>. Looked at are macros
and everything declared at file scope: functions, types, tags, enumerators.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
# Applications may be as old as 2009, or C++.
FOR_APPLICATIONS = [
    ("gcc", ["-xc", "-std=gnu89"]),
    ("gcc", ["-xc", "-std=c17", "-Wpedantic"]),
    ("clang", ["-xc", "-std=gnu89"]),
    ("clang", ["-xc", "-std=c17", "-Wpedantic"]),
    ("g++", ["-xc++", "-std=c++98"]),
    ("g++", ["-xc++", "-std=c++17", "-Wpedantic"]),
    ("clang++", ["-xc++", "-std=c++17", "-Wpedantic"]),
]
# Authors of functions and drivers write the C of this tree, or C++.
FOR_AUTHORS = [
    ("gcc", ["-xc", "-std=c17", "-Wpedantic"]),
    ("clang", ["-xc", "-std=c17", "-Wpedantic"]),
    ("g++", ["-xc++", "-std=c++17"]),
    ("clang++", ["-xc++", "-std=c++17"]),
]
AUTHOR_HEADERS = {"mapi/function.h", "mapi/library.h", "mapi/driver.h", "mapi/packet.h", "mapi/errors.h"}

NAME = re.compile(r"[A-Za-z_]\w*")
KEYWORDS = set("struct union enum typedef extern static inline const unsigned signed int char long short void double "
               "float _Bool if for while return sizeof case default switch".split())


def run(arguments, text):
    return subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)


def macros(include, header, compiler="gcc"):
    """Names of the macros that the header's own files define."""
    output = run([compiler, "-E", "-dD", "-I", include, "-xc", "-std=gnu17", "-"], f"#include <{header}>\n").stdout
    names, ours = set(), False
    for line in output.splitlines():
        place = re.match(r'# \d+ "([^"]*)"', line)
        if place:
            ours = place.group(1).startswith(include)
        elif ours:
            define = re.match(r"#define (\w+)", line)
            if define:
                names.add(define.group(1))
    return names


def own_text(include, header):
    """The preprocessed text that comes from our files, one blank instead of everything else."""
    output = run(["gcc", "-E", "-I", include, "-xc", "-std=gnu17", "-"], f"#include <{header}>\n").stdout
    kept, ours = [], False
    for line in output.splitlines():
        place = re.match(r'# \d+ "([^"]*)"', line)
        if place:
            ours = place.group(1).startswith(include)
        elif ours:
            kept.append(line)
    return "\n".join(kept)


def declared(text):
    """Names that C text without macros declares at file scope. Knows as much C as a header has."""
    names = set()
    text = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", " ", text)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    for tag in re.finditer(r"\b(?:struct|union|enum)\s+(\w+)\s*\{", text):
        names.add(tag.group(1))
    for body in re.finditer(r"\benum\b\s*\w*\s*\{([^}]*)\}", text):
        for enumerator in body.group(1).split(","):
            name = NAME.search(enumerator)
            if name:
                names.add(name.group())
    # Without bodies and parameter lists, the last name of each declaration is what it declares.
    previous = None
    while previous != text:
        previous = text
        text = re.sub(r"\{[^{}]*\}", " @ ", text)
    text = re.sub(r"\(\s*\*\s*(\w+)\s*\)\s*\(", r" \1 (", text)  # pointer to function
    previous = None
    while previous != text:
        previous = text
        text = re.sub(r"\([^()]*\)", " ", text)
    for declaration in re.split(r";|(?<=@)\s+(?=static|extern|int|void|char|struct|typedef|enum)", text):
        if "@" in declaration and not declaration.strip().startswith("typedef"):
            declaration = declaration.split("@")[0]
            if re.search(r"\b(struct|union|enum)\s+\w*\s*$", declaration):
                continue  # the tag, seen above
        found = [n for n in NAME.findall(re.sub(r"\[[^\]]*\]", "", declaration)) if n not in KEYWORDS]
        if found:
            names.add(found[-1])
    return names


def not_ours(names, historic):
    return sorted(n for n in names if not n.startswith(("mapi_", "MAPI_")) and n not in historic)


def compile_alone(include, header):
    faults, left_out = [], []
    for compiler, flags in FOR_AUTHORS if header in AUTHOR_HEADERS else FOR_APPLICATIONS:
        if shutil.which(compiler) is None:
            left_out.append(compiler)
            continue
        # Twice: the guard works.
        text = f"#include <{header}>\n#include <{header}>\nint main(void);\n"
        result = run([compiler, *flags, *WARNINGS, "-I", include, "-fsyntax-only", "-"], text)
        if result.returncode:
            faults.append(f"{header}: {compiler} {' '.join(flags)}\n{result.stderr}")
    return faults, left_out


def check(include, list_file):
    include = os.path.abspath(include)
    with open(list_file, encoding="utf-8") as file:
        historic = set(file.read().split("\n"))
    with open(os.path.join(include, "mapi", "errors.h"), encoding="utf-8") as file:
        codes = set(re.findall(r"^\s*X\(\d+, (\w+),", file.read(), re.MULTILINE))
    headers = ["mapi.h"] + ["mapi/" + n for n in sorted(os.listdir(os.path.join(include, "mapi"))) if n.endswith(".h")]
    faults, left_out, used = [], set(), set()
    for header in headers:
        more, missing = compile_alone(include, header)
        faults += more
        left_out |= set(missing)
        names = macros(include, header) | declared(own_text(include, header))
        used |= names
        faults += [f"{header}: defines {name}, which is neither mapi_, MAPI_ nor in the list of historic names"
                   for name in not_ours(names, historic | codes)]
    faults += [f"{list_file}: {name} is not in any header" for name in sorted(historic - used)
               if name and not name.startswith("#")]
    for fault in faults:
        print(fault)
    if left_out:
        print("not here, not asked: " + ", ".join(sorted(left_out)))
    print(f"{len(headers)} headers, {len(faults)} faults")
    return 1 if faults else 0


def self_test():
    text = """
    #ifndef MAPI_X_H
    #define MAPI_X_H
    #define MAPI_GOOD(a) (a)
    #define BAD_MACRO 1
    typedef unsigned bad_type;
    typedef void (*bad_callback)(const struct mapi_x *, int);
    enum bad_enum { BAD_ONE = 1, MAPI_TWO, BAD_THREE };
    struct bad_struct { int member; struct { int deep; } inner; };
    typedef struct mapi_info { int fine; } bad_info_t;
    int bad_function(int argument, char *other) __attribute__((format(printf, 2, 3)));
    extern int bad_object[3];
    static inline int bad_inline(int x) { if (x) { return 1; } return 0; }
    static inline int mapi_inline(int x) { return bad_function(x, 0); }
    struct mapi_y { int (*member_pointer)(int local); };
    #endif
    """
    expected = {"BAD_MACRO", "bad_type", "bad_callback", "bad_enum", "BAD_ONE", "BAD_THREE", "bad_struct", "bad_info_t",
                "bad_function", "bad_object", "bad_inline"}
    with tempfile.TemporaryDirectory() as include:
        os.mkdir(os.path.join(include, "mapi"))
        with open(os.path.join(include, "mapi", "x.h"), "w", encoding="utf-8") as file:
            file.write(text)
        names = macros(include, "mapi/x.h") | declared(own_text(include, "mapi/x.h"))
        found = set(not_ours(names, set()))
        with open(os.path.join(include, "mapi", "x.h"), "a", encoding="utf-8") as file:
            file.write("int unguarded = sizeof(no_such_type);\n")
        broken, _ = compile_alone(include, "mapi/x.h")
    if found != expected or not broken:
        print(f"found {sorted(found)}\nexpected {sorted(expected)}\nbroken header {'' if broken else 'not '}noticed")
        return 1
    print("as expected")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if len(sys.argv) != 3:
        print(__doc__)
        sys.exit(2)
    sys.exit(check(sys.argv[1], sys.argv[2]))
