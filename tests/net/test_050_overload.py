#!/usr/bin/env python3
"""More than a reader can take, and more than the engine can: what is lost is counted, exactly, and lost by those only who are slow.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import pathlib
import signal

from netns import World, Sender, plain, wait_for

CONFIG = """
[driver]
device=in
[driver]
device=small
ring_mb=1
block_kb=128
"""


def process_state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


with World() as world:
    world.veth("out", "in")
    world.veth("out2", "small")
    mapid = world.mapid(CONFIG)

    # A reader that does not read at all, then slowly, then keeps up.
    slow, other = world.client(), world.client()
    fd, packets = slow.flow("in", ("TO_BUFFER", 1))
    watched, counter = other.flow("in", ("PKT_COUNTER",))
    keen, kept = other.flow("in", ("TO_BUFFER", 1))
    sender = Sender("out")
    taken = got = 0
    for round_number in range(12):
        sender.send(plain(i, 1500) for i in range(1000))
        world.reach(other, watched, counter, 1000 * (round_number + 1))
        got += other.take(keen, kept)[0]
        if round_number >= 6:
            taken += slow.take(fd, packets, 500)[0]
    taken += slow.take(fd, packets)[0]
    sender.send(plain(i, 1500) for i in range(1000))
    world.reach(other, watched, counter, 13000)
    again = slow.take(fd, packets)[0]
    world.expect("when it reads again it loses nothing", again, 1000)
    taken += again
    got += other.take(keen, kept)[0]
    stats = slow.flow_stats(fd)
    world.expect("the slow reader's flow saw everything", stats["seen"], 13000)
    world.expect("what it got was delivered", taken, stats["delivered"])
    world.expect("what it did not get was dropped, for lack of room", taken + stats["dropped_ring"], 13000)
    world.expect_true("it was slow", stats["dropped_ring"] > 2000, stats["dropped_ring"])
    world.expect_law("the slow reader", stats)
    world.expect("another reader lost nothing", got, 13000)
    world.expect("nor did a counter", other.read(watched, counter), 13000)
    world.expect("nor did the device", other.device_stats("in")["dropped_kernel"], 0)

    # The engine does not get the processor: the kernel's ring overflows.
    fd, counter, size = other.flow("small", ("PKT_COUNTER",), ("BYTE_COUNTER",))
    tcp, none = other.flow("small", ("BPF_FILTER", "tcp"), ("PKT_COUNTER",))[0::2]
    sender = Sender("out2")
    for round_number in range(4):
        os.kill(mapid.engine, signal.SIGSTOP)
        wait_for(lambda: process_state(mapid.engine) == "T", "the engine stands still")
        sender.send(plain(i, 500) for i in range(8000))
        os.kill(mapid.engine, signal.SIGCONT)
        wait_for(lambda: other.device_stats("small")["seen"] >= sender.frames,
                 lambda: f"{sender.frames} packets in {other.device_stats('small')}")
        sender.send(plain(i, 500) for i in range(100))
        wait_for(lambda: other.device_stats("small")["seen"] >= sender.frames,
                 lambda: f"{sender.frames} packets in {other.device_stats('small')}")
    device = other.device_stats("small")
    world.expect("the device saw what was sent", device["seen"], sender.frames)
    world.expect("delivered or dropped by the kernel", device["delivered"] + device["dropped_kernel"], sender.frames)
    world.expect_true("the ring was too small", device["dropped_kernel"] > 8000, device["dropped_kernel"])
    world.expect_law("the device", device)
    world.expect("mapi_stats", other.old_stats("small"), [sender.frames, device["dropped_kernel"], 0])
    stats = other.flow_stats(fd)
    world.expect("the flow's account", (stats["seen"], stats["delivered"], stats["dropped_kernel"]),
                 (sender.frames, device["delivered"], device["dropped_kernel"]))
    world.expect("the flow's counter", other.read(fd, counter), device["delivered"])
    world.expect("the flow's bytes", other.read(fd, size), 500 * device["delivered"])
    stats = other.flow_stats(tcp)
    world.expect("a flow with a filter", (stats["seen"], stats["delivered"], stats["filtered"], stats["dropped_kernel"]),
                 (sender.frames, 0, device["delivered"], device["dropped_kernel"]))
    world.expect_law("a flow with a filter", stats)
    world.expect("the other device has lost nothing", other.device_stats("in")["dropped_kernel"], 0)
