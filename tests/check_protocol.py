#!/usr/bin/env python3
"""Compares docs/protocol.md with src/protocol/mapi.proto and src/results/layout.h: what is written is what is there.

SPDX-License-Identifier: BSD-2-Clause

Usage: check_protocol.py TREE
"""
import os
import re
import sys

SIZES = {"uint64_t": 8, "int64_t": 8, "uint32_t": 4, "int32_t": 4}


def parse_proto(text):
    """{message or enum: {number: (name, type)}}, with nested enums as Message.Enum."""
    text = re.sub(r"//[^\n]*", "", text)
    found, stack = {}, []
    for token in re.finditer(r"(message|enum|oneof)\s+(\w+)\s*\{|(\})|(repeated\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*;"
                             r"|(\w+)\s*=\s*(\d+)\s*;", text):
        kind, name, end, repeated, type_, field, number, value, value_number = token.groups()
        if kind:
            stack.append((kind, name))
        elif end:
            stack.pop()
        names = [n for k, n in stack if k != "oneof"]
        owner = ".".join(names)
        if kind and kind != "oneof":
            found[owner] = {}
        elif field:
            oneof = f", oneof `{stack[-1][1]}`" if stack[-1][0] == "oneof" else ""
            if type_ == "Kind":
                type_ = f"{owner}.{type_}"
            found[owner][int(number)] = (field, ("repeated " if repeated else "") + type_ + oneof)
        elif value:
            found[owner][int(value_number)] = (value, "")
    return found


def parse_page(text):
    """The tables below headings that are a name, or a name and a number: {name: {number: (name, type)}}, {name: number}."""
    tables, numbers, name = {}, {}, None
    for line in text.split("\n"):
        heading = re.match(r"(#+) (.*)$", line)
        if heading:
            match = re.match(r"([A-Z][\w.]*)(?: (\d+))?$", heading.group(2))
            name = match.group(1) if match and len(heading.group(1)) >= 3 else None
            if name:
                tables[name] = {}
                if match.group(2):
                    numbers[name] = int(match.group(2))
        row = re.match(r"\| (\d+) \| `(\w+)` \| (.*?) \|", line)
        if name and row:
            tables[name][int(row.group(1))] = (row.group(2), row.group(3))
    return tables, numbers


def check_messages(proto, tables, numbers):
    bodies = {type_.split(",")[0]: number for number, (_, type_) in proto["Envelope"].items() if number >= 10}
    for name, fields in proto.items():
        if name == "Envelope":
            continue
        if name not in tables:
            yield f"{name} is not described"
            continue
        enum = all(type_ == "" for _, type_ in fields.values()) and fields
        theirs = {n: (f, "") for n, (f, _) in tables[name].items()} if enum else tables[name]
        for number in sorted(set(fields) | set(theirs)):
            if fields.get(number) != theirs.get(number):
                yield f"{name}: field {number} is {fields.get(number)}, described as {theirs.get(number)}"
        if numbers.get(name) != bodies.get(name):
            yield f"{name} has the number {bodies.get(name)} in the envelope, described as {numbers.get(name)}"
    for name in tables:
        if name not in proto:
            yield f"{name} is described, but is not in the list"


def struct_offsets(header, name):
    """{field: (offset, bytes)} of a struct of plain numbers."""
    body = re.search(r"struct " + name + r" \{(.*?)\n\};", header, re.DOTALL).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    offset, found = 0, {}
    for type_, field, count in re.findall(r"(\w+)\s+(\w+)(?:\[(\w*)\])?;", body):
        size = SIZES[type_]
        offset = (offset + size - 1) // size * size
        found[field] = (offset, size)
        offset += size * (int(count) if count else 1)
    return found


def layout_table(text, title):
    part = text[text.index(title):]
    rows = {}
    for line in part.split("\n")[1:]:
        row = re.match(r"\| (\d+) \| (\w+) \| ([\w ]+) \|", line)
        if row:
            rows[row.group(3)] = (int(row.group(1)), row.group(2))
        elif rows:
            break
    return rows


def check_layout(page, layout, function):
    tables = [("**Header**", layout, "results_header"), ("**Directory**", layout, "results_entry"),
              ("**Slots of counters", function, "mapi_slot"), ("**Status of a flow**", layout, "results_flow"),
              ("**Packet ring, the writer", layout, "results_ring"),
              ("**The reader's page:**", layout, "results_ring_reader")]
    for title, header, name in tables:
        real, described = struct_offsets(header, name), layout_table(page, title)
        for field, (offset, size) in real.items():
            if field == "unused":
                continue
            if field not in described:
                yield f"struct {name}: {field} is not described"
            elif described[field] != (offset, str(size)) and (field, described[field]) != ("data", (offset, "size")):
                yield f"struct {name}: {field} is at {offset} with {size} bytes, described as {described[field]}"
        for field in described:
            if field not in real:
                yield f"struct {name} has no {field}"
        if len(described) < 2:
            yield f"the table {title} is missing"


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2

    def read(*path):
        with open(os.path.join(sys.argv[1], *path), encoding="utf-8") as file:
            return file.read()

    page = read("docs", "protocol.md")
    proto = parse_proto(read("src", "protocol", "mapi.proto"))
    tables, numbers = parse_page(page)
    tables.pop("Messages", None)
    faults = list(check_messages(proto, tables, numbers))
    faults += check_layout(page, read("src", "results", "layout.h"), read("include", "mapi", "function.h"))
    codes = set(re.findall(r"X\((\d+),", read("include", "mapi", "errors.h")))
    for code in set(re.findall(r"\b([1-9]\d{3})\b(?! bytes|,)", page[page.index("## 8."):page.index("## 9.")])):
        if code not in codes:
            faults.append(f"there is no error {code}")
    for fault in faults:
        print(fault)
    print(f"{len(proto)} kinds, {len(faults)} faults")
    return 1 if faults or len(proto) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
