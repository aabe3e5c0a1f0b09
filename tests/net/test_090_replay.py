#!/usr/bin/env python3
"""A replayed trace is a live device for many clients, and who may use it is decided by the socket's group.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import pathlib
import shutil
import subprocess
import sys

from netns import World, Client, wait_for, program

TREE = pathlib.Path(os.environ["MAPI_TEST_TREE"])
TRACE = TREE / "tests" / "traces" / "demo.pcap"
FILTERS = ("tcp", "udp", "not tcp", "tcp and dst port 80", "udp and src port 2002", "greater 500", "not ip", "ip")
NOBODY = 65534


def judge(expression):
    done = subprocess.run(["tcpdump", "-n", "-r", str(TRACE), "--count", expression], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def devices(group, folder):
    trace = folder / "demo.pcap"
    shutil.copy(TRACE, trace)
    more = f"trace={trace}\n"
    return (f"group={group}\n[driver]\ndevice=steady\n{more}rate=20000\n[driver]\ndevice=fast\n{more}speed=1000\n"
            f"[driver]\ndevice=max\n{more}speed=max\n[driver]\ndevice=own\n{more}\n[driver]\ndevice=twice\n{more}rate=max\nloops=2\n"
            f"[driver]\ndevice=missing\ntrace={folder}/missing.pcap\n")


def as_nobody(world, mapid):
    """A client without any right. The libraries of the build may be where nobody else can go."""
    place = world.folder / "open"
    place.mkdir(exist_ok=True)
    place.chmod(0o755)
    for path in (program("MAPI_TEST_CLIENT"), program("MAPI_TEST_LIBMAPI")):
        shutil.copy(path, place)
    library = place / pathlib.Path(program("MAPI_TEST_LIBMAPI")).name
    for name in ("libmapi.so", "libmapi.so.0"):
        if not (place / name).exists():
            (place / name).symlink_to(library.name)
    env = {"LD_LIBRARY_PATH": str(place), "MAPI_SOCKET": str(mapid.socket)}
    return Client(world, env, str(place / pathlib.Path(program("MAPI_TEST_CLIENT")).name), user=NOBODY, group=NOBODY,
                  extra_groups=[])


with World() as world:
    world.folder.chmod(0o755)
    whole = judge("")
    want = {text: judge(text) for text in FILTERS}
    mapid = world.mapid(devices("nogroup", world.folder))
    clients = [world.client() for _ in FILTERS]
    for device in ("steady", "fast", "max"):
        flows = [client.flow(device, ("BPF_FILTER", text), ("PKT_COUNTER",))[0::2] for client, text in zip(clients, FILTERS)]
        for client, (fd, counter), text in zip(clients, flows, FILTERS):
            if want[text]:
                wait_for(lambda client=client, fd=fd: client.flow_stats(fd)["seen"] > 2 * whole, "two rounds of the trace")
        for client, (fd, counter), text in zip(clients, flows, FILTERS):
            stats = client.flow_stats(fd)
            rounds = stats["seen"] // whole
            world.expect_true(f"{device}: '{text}' lets through what it must in whole rounds",
                              rounds * want[text] <= stats["delivered"] <= (rounds + 1) * want[text],
                              f"{stats['delivered']} in {rounds} rounds of {want[text]}")
            world.expect_law(f"{device}: '{text}'", stats)
            world.expect(f"{device}: dropped", stats["dropped_kernel"] + stats["dropped_interface"], 0)
            client.close(fd)
    fd, packets = clients[0].flow("steady", ("TO_BUFFER", 1))
    wait_for(lambda: clients[0].take(fd, packets, 100)[0], "packets; their time never goes back")
    clients[0].close(fd)
    own, counter = clients[0].flow("own", ("PKT_COUNTER",))
    world.reach(clients[0], own, counter, 1)
    clients[0].close(own)
    world.expect_refused("a trace that is not there", 6155, ["missing.pcap"], clients[0].flow, "missing")
    twice, counter = clients[0].flow("twice", ("PKT_COUNTER",))
    wait_for(lambda: clients[0].device_stats("twice")["seen"] == 2 * whole, "two rounds, and no more")

    # A program without any right, in the group of the socket.
    guest = as_nobody(world, mapid)
    fd, counter, size = guest.flow("steady", ("PKT_COUNTER",), ("BYTE_COUNTER",))
    world.expect_true("who is in the group may count", world.reach(guest, fd, counter, 100) >= 100)
    world.expect("and ends well", guest.quit(), 0)

    # And one that is not: the sentence says which socket, why, and who may.
    closed = world.mapid(devices("daemon", world.folder))
    guest = as_nobody(world, closed)
    world.expect_refused("who is not in the group", 5124, [str(closed.socket), "permission denied", "daemon"], guest.flow, "steady")
    absent = world.client({"MAPI_SOCKET": str(world.folder / "nothing.sock")})
    world.expect_refused("no mapid", 5124, [str(world.folder / "nothing.sock")], absent.flow, "steady")
    again = world.mapid(None, "--socket", str(mapid.socket), wait=False)
    world.expect("a second mapid on the same socket does not start", again.process.wait(30), 1)
    world.mapids.remove(again)
    world.expect_true("and says why", f"another mapid listens on {mapid.socket}" in again.log(), again.log())
    world.expect_true("the first one goes on", world.reach(clients[1], *clients[1].flow("steady", ("PKT_COUNTER",)), 100) >= 100)
    world.expect("SIGTERM ends it", mapid.stop(), 0)
    world.expect("its socket is gone", mapid.socket.exists(), False)
