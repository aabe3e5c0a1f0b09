#!/usr/bin/env python3
"""The configuration is read anew under traffic, fifty times: a device that stays loses nothing, devices come and go, and a broken
configuration changes nothing and is told with file and line.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import subprocess
import time

from netns import World, Stream, Sender, plain, program, wait_for

BASE = """log_level=2
[driver]
device=in
"""
ONE = BASE + """[driver]
device=in2
[driver]
device=in3
alias=third
"""
# One device less, and the one that stays has another number.
TWO = BASE + """description=changes nothing
[driver]
device=in3
"""
BROKEN = {
    "[driver]\ndevice=in\nring_mb=0\n": ":3: ",
    "log_level=7\n": ":1: ",
    "[driver]\ndevice=in\n[driver]\ndescription=none\n": ":3: ",
    "[driver]\ndevice=in\n[driver]\ndevice=in\n": ":4: ",
    "[driver\ndevice=in\n": ":1: ",
}

with World() as world:
    world.veth("out", "in")
    world.veth("out2", "in2")
    world.veth("out3", "in3")
    mapid = world.mapid(ONE)
    client, other, gone = world.client(), world.client(), world.client()
    fd, counter = client.flow("in", ("PKT_COUNTER",))
    held, held_counter = gone.flow("in2", ("PKT_COUNTER",))
    other.close(other.flow("in3", ("PKT_COUNTER",))[0])  # it is connected to mapid from here on
    descriptors = mapid.descriptors()

    stream = Stream(world, "out")
    for i in range(1, 51):
        first = client.read(fd, counter)
        mapid.reload(TWO if i % 2 else ONE)
        # Meanwhile: a device that is in both must always be there, whatever its number.
        created = other.flow("in3", ("PKT_COUNTER",))
        other.close(created[0])
        mapid.wait_log("the new configuration is in force", i)
        created = other.flow("in3", ("PKT_COUNTER",))
        other.close(created[0])
        if i % 2:
            world.expect_refused("a device that was removed", 3200, ["in2"], other.flow, "in2")
        else:
            created = other.flow("in2", ("PKT_COUNTER",))
            other.close(created[0])
        wait_for(lambda: client.read(fd, counter) > first, "packets go on")

    for n, (config, where) in enumerate(BROKEN.items(), 1):
        mapid.reload(config)
        mapid.wait_log("everything stays as it was", n)
        last = [line for line in mapid.log().splitlines() if "everything stays as it was" in line][-1]
        world.expect_true("a broken configuration is told with file and line", str(mapid.config) + where in last, last)
        check = subprocess.run([program("MAPI_TEST_MAPID"), "--check-config", "-c", str(mapid.config)], capture_output=True,
                               text=True, check=False)
        world.expect_true("--check-config says so, too", check.returncode == 1 and str(mapid.config) + where in check.stderr,
                          check.stderr)
        created = other.flow("in2", ("PKT_COUNTER",))
        other.close(created[0])
    world.expect("broken ones are not in force", mapid.log().count("the new configuration is in force"), 50)
    mapid.config.unlink()
    mapid.process.send_signal(1)
    mapid.wait_log("everything stays as it was", len(BROKEN) + 1)
    created = other.flow("in2", ("PKT_COUNTER",))
    other.close(created[0])

    sent = stream.stop()
    world.expect("the untouched device has lost nothing", world.reach(client, fd, counter, sent), sent)
    device = client.device_stats("in")
    world.expect("says the device, too", (device["seen"], device["delivered"]), (sent, sent))
    sender = Sender("out2")
    sender.send(plain(i, 100) for i in range(100))
    world.expect("a flow on a device that was taken away for a while", world.reach(gone, held, held_counter, 100), 100)
    wait_for(lambda: mapid.descriptors() <= descriptors, lambda: f"{descriptors} descriptors, has {mapid.descriptors()}")
