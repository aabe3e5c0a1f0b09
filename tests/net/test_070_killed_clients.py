#!/usr/bin/env python3
"""Clients are killed in the middle of what they do, also when a child of theirs holds their connection: another program's count is
exact, mapid keeps nothing of them, and their files can be read.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import random
import signal
import struct

from netns import World, Stream, packets_in, wait_for, SANITIZED

ROUNDS = 200
FLOWS = 50


def whole(path):
    """A pcap file with whole records only: how many. Empty: its client was killed before mapid heard of it."""
    data = path.read_bytes()
    at = 24
    n = 0
    if not data:
        return 0
    while at + 16 <= len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        n += 1
    return n if at == len(data) else -1


with World() as world:
    rng = random.Random(70)
    world.veth("out", "in")
    mapid = world.mapid()
    observer = world.client()
    fd, counter = observer.flow("in", ("PKT_COUNTER",))
    files = world.folder / "files"
    files.mkdir()
    failed_calls = []

    def one_round(calls, with_child):
        client = world.client()
        if with_child:
            client.do("active")  # it is connected to mapid from here on
            holder = int(client.do("fork")[0])
            world.hang_on(holder)
        client.begin("storm", "in", FLOWS, files)
        seen = b""
        while len(seen) < calls:
            got = os.read(client.process.stdout.fileno(), calls - len(seen))
            if not got:
                break
            seen += got
        if b"x" in seen:
            failed_calls.append(seen)
        client.kill()
        wait_for(lambda: int(observer.do("active")[0]) == 1, lambda: f"its flows are gone, {observer.do('active')}")
        if with_child:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)  # it has become a child of ours
            world.strays.discard(holder)

    stream = Stream(world, "out")
    for i in range(10):
        one_round(170, i % 4 == 0)
    descriptors, threads, memory = mapid.descriptors(), mapid.threads(), mapid.memory_kb()
    for i in range(ROUNDS):
        one_round(rng.randrange(0, 4 * FLOWS + 60), i % 4 == 0)

    sent = stream.stop()
    world.expect("the other program's count", world.reach(observer, fd, counter, sent), sent)
    stats = observer.flow_stats(fd)
    world.expect("its account", (stats["seen"], stats["delivered"]), (sent, sent))
    world.expect("no call of the killed ones failed", failed_calls, [])
    wait_for(lambda: mapid.descriptors() <= descriptors, lambda: f"{descriptors} descriptors, has {mapid.descriptors()}")
    world.expect_true("descriptors are back", True, f"{descriptors}")
    wait_for(lambda: mapid.threads() <= threads, lambda: f"{threads} threads, has {mapid.threads()}")
    world.expect_true("threads are back", True, f"{threads}")
    after = mapid.memory_kb()
    if not SANITIZED:
        world.expect_true("memory of its own is back", after[0] < memory[0] + 2048, f"{memory[0]} kB, {after[0]} kB")
        world.expect_true("shared memory is back", after[1] < memory[1] + 2048, f"{memory[1]} kB, {after[1]} kB")

    found = sorted(files.iterdir())
    counts = [whole(path) for path in found]
    world.expect_true("there are files", len(found) > ROUNDS, len(found))
    world.expect("files with half a record", sum(n < 0 for n in counts), 0)
    world.expect_true("they have packets", sum(counts) > 0, sum(counts))
    for path, n in list(zip(found, counts))[::23]:
        if path.stat().st_size > 0:
            world.expect("tcpdump reads as many packets", packets_in(path), n)
