#!/usr/bin/env python3
"""Reads the includes of src/ and fails on every arrow that points upwards.

SPDX-License-Identifier: BSD-2-Clause

Usage: check_layers.py TREE          checks TREE/src
       check_layers.py --self-test   proves that forbidden includes are found
"""
import os
import re
import sys
import tempfile

# The public headers, by what they are for. A folder may use its own files and base/ always.
AUTHOR = {"mapi/function.h", "mapi/driver.h", "mapi/packet.h", "mapi/errors.h"}
EVERY = "include/mapi"  # mapi.h and all of mapi/
APPLICATION = "mapi.h"  # mapi.h and the result structs

# Who may include whom: folders of src/, sets of public headers, or single ones. Not listed: not allowed.
LAW = {
    "base": [],
    "config": [EVERY],
    "formats": [EVERY],
    "packet": [EVERY],
    "results": [EVERY],
    "protocol": [EVERY],
    "filter": [EVERY],
    "match": [EVERY],
    "drivers": [EVERY, "formats"],
    "functions": [EVERY, "formats"],
    # driver.h brings function.h, packet.h and errors.h with it, function.h packet.h and errors.h.
    "capture": ["packet", *AUTHOR],
    "graph": ["results", "filter", "match", *(AUTHOR - {"mapi/driver.h"})],
    "engine": ["capture", "graph", "results", EVERY],
    "session": ["engine", "results", EVERY],
    "plugin": ["session", "engine", "functions", "results", EVERY],
    "backend": [EVERY],
    "host": ["backend", "session", "engine", "capture", "drivers", "functions", "results", "filter", EVERY],
    "client": ["backend", "protocol", "results", EVERY],
    "server": ["backend", "protocol", EVERY],
    # Of the layers below a host it needs the types that a host takes and gives, nothing else.
    "mapid": ["config", "server", "host", "plugin", "capture", "filter", "protocol", "results", EVERY],
    "mapicommd": ["protocol", APPLICATION],
    "tools": ["protocol", APPLICATION],
}

# Exceptions, each with its reason: (file, what it may include besides).
EXCEPTIONS = {
    # The embedded backend is the only place where the client library touches the engine, and it is built into
    # libmapi-engine.
    "client/backend_embedded.c": ["host", "drivers", "plugin"],
    # Headers are decoded lazily, when the first function asks for them, and what a transformer emits is decoded
    # again: both happen in the middle of a plan.
    "graph/run.c": ["packet"],
    "graph/emit.c": ["packet"],
    # mapi_fail() is public and needed by every folder, so its body is at the bottom.
    "base/error.c": ["mapi/function.h", "mapi/errors.h"],
}

# Made by the build, not in the tree: facts about the machine, and what belongs to a folder like its other files.
GENERATED = {"mapi_config.h"}
GENERATED_IN_FOLDER = {"protocol/mapi.pb-c.h"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def public_header(name):
    return name == "mapi.h" or name.startswith("mapi/")


def public_allowed(name, allowed):
    if EVERY in allowed or name in allowed:
        return True
    return APPLICATION in allowed and name not in AUTHOR


def resolve(tree, folder_of_file, quoted, name):
    """Returns ('public', name), ('ours', path below src), ('system', name) or ('missing', name)."""
    if quoted:
        beside = os.path.normpath(os.path.join(folder_of_file, name))
        if os.path.isfile(os.path.join(tree, "src", beside)):
            return "ours", beside
    if name in GENERATED:
        return "generated", name
    if name in GENERATED_IN_FOLDER:
        return "ours", name
    if public_header(name):
        there = os.path.isfile(os.path.join(tree, "include", name))
        return ("public" if there else "missing"), name
    below_src = os.path.normpath(name)
    if os.path.isfile(os.path.join(tree, "src", below_src)):
        return "ours", below_src
    return ("missing" if quoted else "system"), name


def check_file(tree, path):
    """Yields one sentence for each include of src/`path` that the law does not allow."""
    folder = path.split(os.sep)[0]
    allowed = LAW[folder] + EXCEPTIONS.get(path.replace(os.sep, "/"), [])
    with open(os.path.join(tree, "src", path), encoding="utf-8", errors="replace") as file:
        text = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), file.read())
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        kind, name = resolve(tree, os.path.dirname(path), match.group(1) == '"', match.group(2))
        where = f"src/{path}:{line}: "
        if kind == "missing":
            yield where + f"{name} does not exist"
        elif kind == "public" and not public_allowed(name, allowed):
            yield where + f"{folder}/ may not include {name}"
        elif kind == "ours":
            target = name.split(os.sep)[0]
            if target not in ("base", folder) and target not in allowed:
                yield where + f"{folder}/ may not include {target}/ ({name})"


def check_tree(tree):
    faults = []
    files = 0
    src = os.path.join(tree, "src")
    for here, folders, names in os.walk(src):
        folders.sort()
        relative = os.path.relpath(here, src)
        folder = relative.split(os.sep)[0]
        for name in sorted(names):
            path = os.path.normpath(os.path.join(relative, name))
            if not name.endswith((".c", ".h", ".in", ".inc")):
                continue
            if folder == ".":
                faults.append(f"src/{path}: sources belong in a folder of src/")
            elif folder not in LAW:
                faults.append(f"src/{path}: {folder}/ is no folder of ours; give it a line in {os.path.basename(__file__)}")
            else:
                files += 1
                faults.extend(check_file(tree, path))
    for path in EXCEPTIONS:
        if os.path.isdir(os.path.join(src, path.split("/")[0])) and not os.path.isfile(os.path.join(src, path)):
            faults.append(f"the exception for {path} has no file any more")
    return files, faults


def self_test():
    cases = [  # file, its text, whether it must be refused
        ("graph/run.c", '#include "results/writer.h"\n', False),
        ("graph/run.c", "#include <mapi/function.h>\n#include <stdio.h>\n", False),
        ("graph/compile.c", '#include "packet/parse.h"\n', True),
        ("graph/run.c", '#include "engine/engine.h"\n', True),
        ("graph/run.c", "#include <mapi/driver.h>\n", True),
        ("base/list.h", "#include <mapi/packet.h>\n", True),
        ("base/list.h", '#include "results/writer.h"\n', True),
        ("functions/stdflib/gap.c", "#include <mapi/function.h>\n", False),
        ("functions/stdflib/gap.c", '#include "../../graph/graph.h"\n', True),
        ("functions/stdflib/gap.c", '  #  include "graph/graph.h"\n', True),
        ("functions/stdflib/gap.c", '/*\n#include "graph/graph.h"\n*/\n', False),
        ("drivers/null.c", "#include <graph/graph.h>\n", True),
        ("capture/open.c", '#include "packet/parse.h"\n#include <mapi/driver.h>\n', False),
        ("capture/open.c", "#include <mapi.h>\n", True),
        ("client/backend_embedded.c", '#include "host/host.h"\n', False),
        ("client/backend_embedded.c", '#include "session/session.h"\n', True),
        ("client/backend_local.c", '#include "session/session.h"\n', True),
        ("client/mapi_flow.c", "#include <mapi.h>\n", False),
        ("client/mapi_flow.c", '#include "host/host.h"\n', True),
        ("client/mapi_flow.c", '#include "engine/engine.h"\n', True),
        ("tools/mapi.c", "#include <mapi.h>\n", False),
        ("tools/mapi.c", "#include <mapi/driver.h>\n", True),
        ("packet/parse.c", '#include "nowhere.h"\n', True),
        ("packet/parse.c", "#include <mapi/nowhere.h>\n", True),
        ("packet/parse.c", '#include "mapi_config.h"\n', False),
        ("protocol/message.h", '#include <mapi/function.h>\n#include "protocol/mapi.pb-c.h"\n', False),
        ("protocol/socket.c", '#include "results/writer.h"\n', True),
        ("mapid/control.c", '#include "protocol/mapi.pb-c.h"\n', False),
        ("graph/run.c", '#include "protocol/mapi.pb-c.h"\n', True),
        ("newfolder/x.c", "int x;\n", True),
        ("x.c", "int x;\n", True),
    ]
    headers = ["src/base/list.h", "src/engine/engine.h", "src/graph/graph.h", "src/packet/parse.h",
               "src/results/writer.h", "src/session/session.h", "src/host/host.h", "include/mapi.h", "include/mapi/function.h",
               "include/mapi/driver.h", "include/mapi/packet.h", *("src/" + path for path in EXCEPTIONS)]
    wrong = 0
    for path, text, refused in cases:
        with tempfile.TemporaryDirectory() as tree:
            for name in headers + ["src/" + path]:
                os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
                    file.write(text if name == "src/" + path else "")
            _, faults = check_tree(tree)
            if bool(faults) != refused:
                wrong += 1
                print(f"{path} with {text!r}: {'not refused' if refused else faults}")
    print(f"{len(cases)} cases, {wrong} wrong")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    files, faults = check_tree(sys.argv[1])
    for fault in faults:
        print(fault)
    print(f"{files} files, {len(faults)} faults")
    return 1 if faults or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
