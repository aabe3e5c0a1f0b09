#!/usr/bin/env python3
"""mapid is killed in the middle of calls, and started again: engine process, opener, or both, at moments of a fixed seed. The
program (survivor.c) sees what mapi(3) promises; the process that is left ends as it should.

SPDX-License-Identifier: BSD-2-Clause

Usage: kills.py MAPID SURVIVOR TRACES [SEED [CALLS...]]
"""

import pathlib
import random
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from private_mapid import LIMIT_S, Failure, Mapid, check, equal  # noqa: E402

CALLS = ['create', 'apply', 'connect', 'read', 'packet', 'loop', 'nonblocking', 'event', 'close', 'info', 'device',
         'session', 'silence']
TIMES = 2  # each
CONFIG = """
max_devices=1000
[driver]
device=live
driver=replay
trace={}
rate=5000
"""


def kill(mapid, what):
    """Returns when both processes have ended, as they must whichever was killed."""
    before = mapid.log()
    status = mapid.kill(opener=what != 'engine', engine=what != 'opener')
    said = mapid.log()[len(before):]
    if what == 'engine':
        equal(status, 1, 'exit status of the opener without an engine process')
        check('the engine process was ended by signal 9' in said, f'the opener says {said!r}')
        check(not mapid.socket.exists(), 'the opener has left the socket')
    if what == 'opener':
        check('the opener is gone' in said, f'the engine process says {said!r}')


def run(mapid, program, call, what, delays):
    with subprocess.Popen(program[:1] + [call] + program[1:], env=mapid.client(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, encoding='utf-8', errors='replace') as survivor:
        try:
            line = survivor.stdout.readline()
            equal(line, 'ready\n', f'{call}: the program says')
            for delay in delays:
                time.sleep(delay)
                kill(mapid, what)
                time.sleep(delay / 2)
                mapid.start()
            try:
                output, _ = survivor.communicate('back\n', LIMIT_S)
            except subprocess.TimeoutExpired:
                raise Failure(f'{call}, {what} killed: the program does not end') from None
            equal(survivor.returncode, 0, f'{call}, {what} killed: exit status, {output!r}')
            return output.strip()
        finally:
            survivor.kill()


def main():
    if len(sys.argv) < 4:
        print(__doc__)
        return 2
    trace = pathlib.Path(sys.argv[3]).resolve() / 'demo.pcap'
    counts = counts_of(trace)
    chance = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    for call in sys.argv[5:] or CALLS:
        for _ in range(TIMES):
            what = chance.choice(['engine', 'opener', 'both'])
            delays = [chance.uniform(0.0, 0.06) for _ in range(chance.choice([1, 1, 2]))]
            with Mapid(sys.argv[1], CONFIG.format(trace)) as mapid:
                mapid.start()
                try:
                    said = run(mapid, [sys.argv[2], str(trace), *counts], call, what, delays)
                    equal(mapid.stop(), 0, f'{call}, {what} killed: exit status of the last mapid')
                except Failure as why:
                    print(f'FAILED {why}\n{mapid.log()}')
                    return 1
            print(f'{said}; {what} killed {len(delays)} times', flush=True)
    return 0


def counts_of(path):
    """Packets with TCP and UDP, as filters see them: directly in IP, no tags; the reader is the tests' own."""
    data, at, found = path.read_bytes(), 24, {6: 0, 17: 0}
    while at < len(data):
        caplen = int.from_bytes(data[at + 8:at + 12], 'little')
        frame = data[at + 16:at + 16 + caplen]
        kind = frame[12:14]
        if kind == b'\x08\x00':
            proto = frame[23]
        elif kind == b'\x86\xdd':
            proto = frame[54] if frame[20] == 44 else frame[20]
        else:
            proto = 0
        if proto in found:
            found[proto] += 1
        at += 16 + caplen
    return [str(found[6]), str(found[17])]


if __name__ == '__main__':
    sys.exit(main())
