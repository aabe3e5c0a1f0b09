#!/usr/bin/env python3
"""Writes the tables of the function libraries: gen_table.py OUTPUT LIBRARY=word,word,... ...

Each word is a function: its file is LIBRARY/word.c, its descriptor mapi_fn_word.
SPDX-License-Identifier: BSD-2-Clause
"""
import re
import sys


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    libraries = []
    for argument in sys.argv[2:]:
        name, _, words = argument.partition('=')
        libraries.append((name, [word for word in words.split(',') if word]))
    seen = set()
    for name, words in libraries:
        for word in [name] + words:
            if not re.fullmatch(r'[a-z][a-z0-9_]*', word):
                print(f'gen_table.py: "{word}" is not a C name in lower case', file=sys.stderr)
                return 1
        for word in words:
            if word in seen:
                print(f'gen_table.py: two functions are named {word}', file=sys.stderr)
                return 1
            seen.add(word)

    out = ['/* The function libraries. Written by gen_table.py. SPDX-License-Identifier: BSD-2-Clause */',
           '#include "functions/table.h"', '']
    for name, words in libraries:
        out += [f'extern const struct mapi_function mapi_fn_{word};' for word in words]
        out += ['', f'const struct mapi_function *const mapi_lib_{name}[] = {{']
        out += [f'        &mapi_fn_{word},' for word in words]
        out += ['        NULL', '};', '']
    out += ['const struct functions_library functions_libraries[] = {']
    out += [f'        {{ .name = "{name}", .functions = mapi_lib_{name} }},' for name, _ in libraries]
    out += ['        { .name = NULL, .functions = NULL }', '};', '']
    with open(sys.argv[1], 'w', encoding='ascii') as file:
        file.write('\n'.join(out))
    return 0


if __name__ == '__main__':
    sys.exit(main())
