#!/usr/bin/env python3
"""The interface goes down, comes back, is deleted and made anew: the flow lives on and counts, and those who ask are told.

SPDX-License-Identifier: BSD-2-Clause
"""
from netns import World, Sender, plain, wait_for

with World() as world:
    world.veth("out", "in")
    world.veth("out2", "in2")
    mapid = world.mapid()
    client = world.client()
    fd, counter = client.flow("in", ("PKT_COUNTER",))
    buffered, packets = client.flow("in", ("TO_BUFFER", 1))
    other, others = client.flow("in2", ("PKT_COUNTER",))
    total = others_total = 0

    def count(n, what):
        global total, others_total
        for device in ("out", "out2"):
            sender = Sender(device)
            sender.send(plain(i, 100) for i in range(n))
            sender.close()
        total += n
        others_total += n
        world.expect(f"{what}: counted", world.reach(client, fd, counter, total), total)
        world.expect(f"{what}: in the buffer", client.take(buffered, packets)[0], n)
        world.expect(f"{what}: the other device", world.reach(client, other, others, others_total), others_total)

    def wait_down(down, what):
        wait_for(lambda: client.device_stats("in")["down"] == down, what)

    count(200, "at first")
    for again in (1, 2):
        world.ip_command("ip link set in down")
        wait_down(1, "down is told")
        mapid.wait_log("device in is down", 2 * again - 1)
        world.expect("the other device is not down", client.device_stats("in2")["down"], 0)
        world.ip_command("ip link set in up")
        world.up("in", "out")
        wait_down(0, "up is told")
        mapid.wait_log("device in is up again", 2 * again - 1)
        count(200, "after down and up")

        world.ip_command("ip link del in")
        wait_down(1, "gone is told")
        mapid.wait_log("device in is down", 2 * again)
        world.expect_refused("a flow on another interface that is not there", 3200, [], client.flow, "gone0")
        world.expect("results stay readable", client.read(fd, counter), total)
        world.veth("out", "in")
        wait_down(0, "the new interface is found")
        mapid.wait_log("device in is up again", 2 * again)
        count(200, "after deletion and return")

    late, late_counter = client.flow("in", ("PKT_COUNTER",))
    count(100, "with a new flow")
    world.expect("a new flow on the device that came back", world.reach(client, late, late_counter, 100), 100)
    for flow in (fd, buffered, late):
        world.expect_law("account", client.flow_stats(flow))
    world.expect("the device has lost nothing", client.device_stats("in")["dropped_kernel"], 0)
    for flow in (fd, buffered, late, other):
        client.close(flow)
