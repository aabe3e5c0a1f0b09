#!/usr/bin/env python3
"""Takes the program listings out of the tutorial's text and repairs what the conversion to text has lost.

    extract.py TUTORIAL FOLDER          writes the listings
    extract.py --check TUTORIAL FOLDER  says whether the folder holds what would be written; 77: no TUTORIAL here

The programs are what their authors wrote in 2009. The listings' line numbers and the fences around them are removed, and
the repairs of the lists below are made, each exactly as often as it says; no call of MAPI is changed.
SPDX-License-Identifier: BSD-2-Clause
"""

import difflib
import pathlib
import re
import sys

# listing: heading of its section, fenced blocks of that section that belong to it
LISTINGS = {
    'packet_count': ('6.1 Getting Started: Simple Packet Count', slice(0, 2)),
    'link_utilization': ('6.2 Link Utilization', slice(0, 3)),
    'worm_detection': ('6.3 Worm Detection', slice(0, 2)),
    'dimapi': ('6.4 Using DiMAPI', slice(0, 3)),
    'anonymization': ('6.5 Using Anonymization', slice(0, 2)),
    'list_libraries': ('4 Management function calls', slice(1, 2)),
    'print_IP_pkt': ('G print_IP_pkt() listing', slice(0, 1)),
}

# in every listing: text, what it was (as often as it occurs)
EVERYWHERE = [
    ('</pre>', ''),              # the end of a block that is none
    ('\\star', '*'),             # a star that became a formula
    ('# #include', '#include'),  # the sign twice, as a heading
    ('exit (EXIT', 'exit(EXIT'),
    ('EXIT FAILURE', 'EXIT_FAILURE'),  # lost underscores, here and below
]

# in one listing: text, what it was; must occur exactly once
REPAIRS = {
    'packet_count': [
        # a lost brace
        ('exit(EXIT_FAILURE);\n       /* keep only', 'exit(EXIT_FAILURE);\n       }\n       /* keep only'),
    ],
    'link_utilization': [
        ('mapi connect(in fd)', 'mapi_connect(in_fd)'),
        # lost braces
        ('exit(EXIT_FAILURE);\n       /* separate', 'exit(EXIT_FAILURE);\n       }\n       /* separate'),
        ('exit(EXIT_FAILURE);\n       if(mapi_connect(out_fd)',
         'exit(EXIT_FAILURE);\n       }\n       if(mapi_connect(out_fd)'),
        ('exit(EXIT_FAILURE);\n                         /* forever',
         'exit(EXIT_FAILURE);\n       }\n                         /* forever'),
        ('out_prev = *out_cnt;\n', 'out_prev = *out_cnt;\n       }\n'),
    ],
    'worm_detection': [
        # a lost brace
        ('print_IP_pkt(pkt);\n', 'print_IP_pkt(pkt);\n       }\n'),
    ],
    'dimapi': [
        ('total count=0', 'total_count=0'),
        # the string that goes over two lines
        ('/dev/dag0,\n                   mon1', '/dev/dag0,"\n                   "mon1'),
        # lost braces
        ('exit(EXIT_FAILURE);\n     /* keep only', 'exit(EXIT_FAILURE);\n     }\n     /* keep only'),
        ('exit(EXIT_FAILURE);\n     /* connect to', 'exit(EXIT_FAILURE);\n     }\n     /* connect to'),
        ('total_count += *count;\n', 'total_count += *count;\n       }\n'),
        ('\\n",total_count);\n', '\\n",total_count);\n     }\n'),
    ],
    'anonymization': [
        ('connect status;', 'connect_status;'),
    ],
    'list_libraries': [],
    'print_IP_pkt': [
        ('ETH ALEN', 'ETH_ALEN'),
    ],
}


def blocks_of(text, heading):
    """The fenced blocks of a section, each a list of lines."""
    lines = text.split('\n')
    start = lines.index(heading)
    blocks, inside = [], False
    for line in lines[start + 1:]:
        if line.startswith('```'):
            inside = not inside
            if inside:
                blocks.append([])
        elif inside:
            blocks[-1].append(line)
        elif re.match(r'(\d+\.\d+ |\d |[A-G] )[A-Zp]', line):
            break  # the next section
    return blocks


def without_numbers(lines):
    """Numbers stand alone in a line or, sometimes, in front of one; blank lines have not survived."""
    stripped = (re.sub(r'^\d{1,2}(\s|$)', '', line) for line in lines)
    return [line.rstrip() for line in stripped if line.strip()]


def listing(text, name):
    heading, chosen = LISTINGS[name]
    blocks = blocks_of(text, heading)[chosen]
    code = '\n'.join(line for block in blocks for line in without_numbers(block)) + '\n'
    for lost, original in EVERYWHERE:
        code = code.replace(lost, original)
    for lost, original in REPAIRS[name]:
        if code.count(lost) != 1:
            raise SystemExit(f'{name}: {lost!r} occurs {code.count(lost)} times')
        code = code.replace(lost, original)
    return code


def check(text, folder):
    failed = False
    for name in LISTINGS:
        path = folder / f'{name}.listing'
        kept = path.read_text(encoding='ascii') if path.exists() else ''
        made = listing(text, name)
        sys.stdout.writelines(difflib.unified_diff(kept.splitlines(True), made.splitlines(True), str(path), 'tutorial'))
        failed |= kept != made
    print('the listings differ from the tutorial' if failed else f'{len(LISTINGS)} listings are as in the tutorial')
    return 1 if failed else 0


def main(arguments):
    checking = arguments[:1] == ['--check']
    tutorial, folder = (pathlib.Path(a) for a in arguments[checking:])
    if not tutorial.exists():
        print('skipped: the tutorial is not here:', tutorial)
        return 77
    text = tutorial.read_text(encoding='utf-8')
    if checking:
        return check(text, folder)
    for name in LISTINGS:
        (folder / f'{name}.listing').write_text(listing(text, name), encoding='ascii')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
