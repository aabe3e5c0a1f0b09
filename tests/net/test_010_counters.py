#!/usr/bin/env python3
"""One flow on one device counts exactly what was sent, as tcpdump does, and every account of it agrees.

SPDX-License-Identifier: BSD-2-Clause
"""
from netns import World, plain, udp, Sender

with World() as world:
    world.veth("out", "in")
    world.mapid()
    client = world.client()
    sender = Sender("out")
    world.expect("nobody uses the device yet", world.received("in"), 0)

    fd, packets, size = client.flow("in", ("PKT_COUNTER",), ("BYTE_COUNTER",))
    filtered, kept = client.flow("in", ("BPF_FILTER", "udp and dst port 53"), ("PKT_COUNTER",))[::2]
    judge = world.tcpdump("in")
    sender.send(plain(i, 60 + i % 1400) for i in range(4000))
    sender.send(udp("10.0.0.1", "10.0.0.2", 1000, 53 + i % 4, b"x" * (i % 100)) for i in range(2000))

    world.expect("packets counted", world.reach(client, fd, packets, 6000), 6000)
    world.expect("bytes counted", client.read(fd, size), sender.bytes)
    world.expect("packets behind the filter", client.read(filtered, kept), 500)
    world.expect("tcpdump's account", judge.stop(6000), (6000, 0))
    world.expect("tcpdump's bytes", sum(judge.lengths()), sender.bytes)
    world.expect("tcpdump's packets behind the filter", judge.count("udp and dst port 53"), 500)
    world.expect("the interface's packets", world.received("in"), 6000)

    none = {"dropped_interface": 0, "dropped_kernel": 0, "dropped_ring": 0, "dropped_file": 0, "down": 0}
    stats = client.flow_stats(fd)
    world.expect("account of the flow", stats, {"seen": 6000, "delivered": 6000, "filtered": 0, **none})
    world.expect_law("the flow", stats)
    stats = client.flow_stats(filtered)
    world.expect("account of the flow with a filter", stats, {"seen": 6000, "delivered": 500, "filtered": 5500, **none})
    world.expect_law("the flow with a filter", stats)
    stats = client.device_stats("in")
    world.expect("account of the device", stats, {"seen": 6000, "delivered": 6000, "filtered": 0, **none})
    world.expect("mapi_stats", client.old_stats("in"), [6000, 0, 0])

    # What comes before connect and after close is not counted.
    late = int(client.do("flow", "in")[0])
    counter = client.apply(late, "PKT_COUNTER")
    sender.send(plain(i, 100) for i in range(10))
    world.reach(client, fd, packets, 6010)
    client.do("connect", late)
    world.expect("a flow begins with 0", client.read(late, counter), 0)
    sender.send(plain(i, 100) for i in range(7))
    world.expect("and counts from connect on", world.reach(client, late, counter, 7), 7)
    world.expect_law("the late flow", client.flow_stats(late))
    world.expect("the late flow saw", client.flow_stats(late)["seen"], 7)
    client.close(fd)
    world.expect_refused("a closed flow", 6145, [], client.read, fd, packets)
    client.close(filtered)
    client.close(late)
    world.expect_refused("a device that nobody uses", 8004, [], client.device_stats, "in")
    world.expect_refused("a device that is not there", 3200, ["nowhere0"], client.flow, "nowhere0")
    world.expect("the client ends", client.quit(), 0)
