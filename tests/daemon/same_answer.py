#!/usr/bin/env python3
"""One trace, two ways: embedded and through mapid the library says the same, for every function, of everything that it has to
say (same_answer.c): results, packets, files, information, accounting, errors and their sentences.

SPDX-License-Identifier: BSD-2-Clause

Usage: same_answer.py MAPID PROGRAM TRACES [MORE_TRACES]
"""

import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from private_mapid import LIMIT_S, Failure, Mapid, check, environment, equal  # noqa: E402

FIRST = 'few-small.pcap'  # with all wrong arguments
MORE = 10  # of the other folder
SEED = '20090101'
# Embedded limits are the process's own.
CONFIG = 'max_devices=1000\nmax_flows=10000\n[driver]\ndevice=any\ndriver=mapinicdrv.so\n'


def traces(folder, more):
    own = sorted(p for p in folder.iterdir() if p.suffix in ('.pcap', '.pcapng') and p.name != FIRST)
    other = sorted(p for p in more.iterdir() if p.suffix in ('.pcap', '.pcapng') and p.stat().st_size < 60000) \
        if more.is_dir() else []
    return [folder / FIRST] + own + other[::max(1, len(other) // MORE)]


def answers(program, files, env):
    with tempfile.TemporaryDirectory(prefix='mapi-same-') as folder:
        done = subprocess.run([program, *files], cwd=folder, env=env, capture_output=True, check=False,
                              timeout=10 * LIMIT_S, encoding='utf-8', errors='backslashreplace')
        equal(os.listdir(folder), [], 'files that are left')
    equal(done.returncode, 0, 'exit status')
    equal(done.stderr, '', 'standard error')
    return done.stdout.split('\n')


def differences(embedded, served):
    """The lines that differ, each with the function and trace that it belongs to. difflib would take minutes for this."""
    lines, where = [], ''
    for one, other in itertools.zip_longest(embedded, served, fillvalue='(no line)'):
        if one == other and not one.startswith(' '):
            where = one
        elif one != other:
            lines += [f'{where}', f'  embedded: {one}', f'  mapid:    {other}']
    return lines


def main():
    if len(sys.argv) < 4:
        print(__doc__)
        return 2
    program = os.path.abspath(sys.argv[2])
    files = traces(pathlib.Path(sys.argv[3]).resolve(), pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else '/nonexistent'))
    with Mapid(sys.argv[1], CONFIG, env={'MAPI_SEED': SEED}) as mapid:
        try:
            embedded = answers(program, files, environment(MAPI_BACKEND='embedded', MAPI_SEED=SEED))
            mapid.start()
            served = answers(program, files, mapid.client())
            equal(mapid.stop(), 0, 'exit status of mapid')
            equal(mapid.complaints(), [], 'complaints of mapid')
            applied = [line for line in embedded if re.fullmatch(r'(\d+) of \1 functions applied', line)]
            equal(len(applied), len(files), 'traces on which every function could be applied')
            check(len(embedded) > 5000, 'there is little to compare')
        except Failure as why:
            print(f'FAILED {why}')
            return 1
    difference = differences(embedded, served)
    print('\n'.join(difference[:200]))
    print(f'{len(files)} traces, {len(embedded)} lines, {len(difference)} lines of difference')
    return 1 if difference else 0


if __name__ == '__main__':
    sys.exit(main())
