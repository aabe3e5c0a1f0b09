#!/usr/bin/env python3
"""Sixteen programs on one device, each with a filter of its own and a packet buffer: each gets what tcpdump gets with that filter,
and there is one capture for all.

SPDX-License-Identifier: BSD-2-Clause
"""
import pathlib
import random

from netns import World, Sender, tcp, udp, plain, tagged, wait_for

FILTERS = [
    "ip", "tcp", "udp", "tcp dst port 80", "udp port 53", "src net 10.1.0.0/16", "dst host 10.0.0.7", "not ip",
    "greater 400", "less 100", "tcp[tcpflags] & tcp-push != 0 and src port 1003", "portrange 1000-1010",
    "ether proto 0x88b5", "udp and not dst port 53", "ip[8] = 64 and dst net 10.0.0.0/30", "vlan 7",
]


def traffic(rng, n):
    for i in range(n):
        source, destination = f"10.{rng.randrange(4)}.0.{rng.randrange(1, 20)}", f"10.0.0.{rng.randrange(1, 20)}"
        data = b"x" * rng.randrange(0, 1000)
        kind = rng.randrange(6)
        if kind < 2:
            yield tcp(source, destination, rng.randrange(1000, 1020), rng.choice((80, 443, 25)), data)
        elif kind < 4:
            yield udp(source, destination, rng.randrange(1000, 1020), rng.choice((53, 123, 514)), data)
        elif kind < 5:
            yield plain(i, 60 + len(data))
        else:
            yield tagged(udp(source, destination, 7, 53, data), rng.choice((6, 7)))


with World() as world:
    world.veth("out", "in")
    world.mapid()
    clients = [world.client() for _ in FILTERS]
    flows = [client.flow("in", ("BPF_FILTER", text), ("TO_BUFFER", 1), ("PKT_COUNTER",))
             for client, text in zip(clients, FILTERS)]
    captures = [line for line in pathlib.Path("/proc/net/packet").read_text().splitlines()[1:] if line.split()[3] == "0003"]
    world.expect("captures for sixteen programs", len(captures), 1)

    judge = world.tcpdump("in")
    sender = Sender("out")
    sender.send(traffic(random.Random(16), 5000))
    world.expect("tcpdump's account", judge.stop(5000), (5000, 0))
    wait_for(lambda: clients[0].device_stats("in")["seen"] >= 5000, "5000 packets")

    for client, (fd, _, packets, counter), text in zip(clients, flows, FILTERS):
        want = judge.count(text)
        world.expect_true(f"'{text}' is worth a test", 0 < want < 5000, want)
        world.expect(f"'{text}': packets in the buffer", client.take(fd, packets)[0], want)
        world.expect(f"'{text}': packets counted", client.read(fd, counter), want)
        stats = client.flow_stats(fd)
        world.expect(f"'{text}': account", (stats["seen"], stats["delivered"], stats["filtered"], stats["dropped_ring"]),
                     (5000, want, 5000 - want, 0))
    for client in clients[:8]:
        world.expect("a program ends", client.quit(), 0)
    sender.send(plain(i, 100) for i in range(100))
    fd, _, packets, counter = flows[12]
    before = judge.count(FILTERS[12])
    world.expect("the others go on", world.reach(clients[12], fd, counter, before + 100), before + 100)
    world.expect("nothing was lost", clients[12].device_stats("in")["dropped_kernel"], 0)
