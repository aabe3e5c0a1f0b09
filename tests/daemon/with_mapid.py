#!/usr/bin/env python3
"""Runs a program against a mapid of its own, and looks at mapid afterwards: it lives, has nothing to complain about, holds
what it held before, and ends in peace.

SPDX-License-Identifier: BSD-2-Clause

Usage: with_mapid.py MAPID PROGRAM [ARGUMENT]...

The program finds the socket in TEST_MAPID_SOCKET, MAPI_SOCKET and, with MAPI_BACKEND=local, has no choice. Its exit status is
ours, unless mapid has suffered.
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
from private_mapid import Failure, Mapid, check, equal, until  # noqa: E402

# Not every interface, so that MAPI_DEVICE_MAP may give programs traces for eth0; and room for tests that want much.
CONFIG = """
max_devices=1000
[driver]
device=any
driver=mapinicdrv.so
"""


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    with Mapid(sys.argv[1], CONFIG) as mapid:
        mapid.start()
        before = mapid.held()
        env = dict(os.environ, MAPI_BACKEND='local', MAPI_SOCKET=str(mapid.socket), TEST_MAPID_SOCKET=str(mapid.socket))
        status = subprocess.run(sys.argv[2:], env=env, check=False).returncode
        try:
            equal(mapid.process.poll(), None, 'exit status of mapid')
            if before is not None:  # the last client may just be leaving
                until(lambda: mapid.held() == before, lambda: f'mapid holds {mapid.held()} (descriptors, busy threads), '
                      f'{before} before', 15)
            check(mapid.answers(), 'mapid does not accept connections any more')
            equal(mapid.stop(), 0, 'exit status of mapid after SIGTERM')
            equal(mapid.complaints(), [], 'complaints in the log')
            check(not mapid.socket.exists(), 'the socket is still there')
        except Failure as why:
            print(f'FAILED mapid: {why}')
            print('\n'.join(mapid.log().split('\n')[-40:]))
            return 1
    return status


if __name__ == '__main__':
    sys.exit(main())
