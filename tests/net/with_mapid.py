#!/usr/bin/env python3
"""Runs a script of this folder against a mapid of its own: with_mapid.py SCRIPT [ARGUMENT]... gives it the socket's path, then the
arguments. Afterwards mapid must be as it was: its flows, and its descriptors.

SPDX-License-Identifier: BSD-2-Clause
"""
import pathlib
import subprocess
import sys

from netns import World, wait_for

with World() as world:
    mapid = world.mapid("")
    watcher = world.client()
    watcher.do("active")
    descriptors = mapid.descriptors()
    script = pathlib.Path(__file__).parent / sys.argv[1]
    process = world.start([sys.executable, str(script), str(mapid.socket), *sys.argv[2:]], env=world.environment(),
                          stdin=subprocess.DEVNULL)
    world.expect(sys.argv[1], process.wait(), 0)
    world.expect("mapid lives", mapid.process.poll(), None)
    world.expect("no flow is left", watcher.do("active"), ["0"])


    def back():
        guest = world.client()
        guest.do("active")  # the next client: what hung for the last ones has come loose, and goes
        guest.kill()
        return mapid.descriptors() <= descriptors
    watcher.kill()
    wait_for(back, lambda: f"{descriptors} descriptors, has {mapid.descriptors()}")
    world.expect("SIGTERM", mapid.stop(), 0)
