#!/usr/bin/env python3
"""A newcomer starts mapid without any configuration, and the tutorial's programs 6.1, 6.2 and 6.3, as printed, count live
traffic on eth0, all three at the same time.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import types

from netns import World, Sender, wait_for, WAIT_S

TREE = pathlib.Path(os.environ["MAPI_TEST_TREE"])
sys.path.insert(0, str(TREE / "tests" / "tutorial"))
import run as tutorial  # noqa: E402

HOST = bytes([139, 91, 145, 84])


class OnTerminal:
    """A program that believes it talks to a person, so it does not keep its output back."""

    def __init__(self, world, binary):
        self.terminal, slave = pty.openpty()
        self.output = ""
        self.process = world.start([binary], env=world.environment({"MAPI_BACKEND": None}), stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=slave)
        os.close(slave)

    def text(self):
        try:
            while select.select([self.terminal], [], [], 0)[0]:
                self.output += os.read(self.terminal, 65536).decode("ascii", "replace").replace("\r\n", "\n")
        except OSError:
            pass  # it has ended
        return self.output

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


with World() as world:
    args = types.SimpleNamespace(cc=os.environ["MAPI_TEST_CC"].split(), include=TREE / "include",
                                 libmapi=os.environ["MAPI_TEST_LIBMAPI"],
                                 listings=TREE / "tests" / "tutorial" / "listings")
    runner = tutorial.Runner(args, world.folder)
    programs = {name: runner.compile(name) for name in ("packet_count", "link_utilization", "worm_detection")}
    world.failures += tutorial.failures
    trace = list(tutorial.packets(TREE / "tests" / "traces" / "demo.pcap"))

    world.veth("out", "eth0")
    world.mapid(None)
    watcher = world.client({"MAPI_BACKEND": None})
    judge = world.tcpdump("eth0")
    watcher.do("flow", "eth0")  # it wants to be connected to mapid; the flow is not
    running = {name: OnTerminal(world, binary) for name, binary in programs.items()}
    wait_for(lambda: int(watcher.do("active")[0]) == 4, lambda: f"four flows, there are {watcher.do('active')}")

    sender = Sender("out")
    sender.send(frame for frame, _ in trace)
    world.expect("tcpdump's account", judge.stop(len(trace)), (len(trace), 0))

    want = "".join(tutorial.as_printed(frame) for frame, _ in trace if tutorial.is_worm(frame))
    worms = running["worm_detection"]
    wait_for(lambda: len(worms.text()) >= len(want), lambda: f"the worms, so far: {worms.text()}")
    world.expect("6.3 prints the worms", worms.text(), want)
    world.expect("6.3 saw some", want.count("worm"), 6)

    report = re.compile(r"incoming: \d+\.\d\d Mbit/s \((\d+) bytes\)\noutgoing: \d+\.\d\d Mbit/s \((\d+) bytes\)\n\n")
    link = running["link_utilization"]
    sums = [sum(len(frame) for frame, _ in trace if tutorial.has_host(frame, HOST, incoming)) for incoming in (True, False)]

    def reported():
        return [sum(int(line[column]) for line in report.findall(link.text())) for column in range(2)]
    wait_for(lambda: all(got >= bytes_ for got, bytes_ in zip(reported(), sums)), lambda: f"{sums} bytes: {link.text()}")
    world.expect("6.2 reports the bytes in both directions", reported(), sums)
    world.expect("tcpdump, too: incoming packets", judge.count("dst host 139.91.145.84"),
                 sum(tutorial.has_host(frame, HOST, True) for frame, _ in trace))

    count = sum(tutorial.to_web_server(frame) for frame, _ in trace)
    packets = running["packet_count"]
    world.expect("6.1 ends by itself", packets.process.wait(WAIT_S), 0)
    world.expect("6.1 prints the number of packets", packets.text(), f"pkts: {count}\n")
    world.expect("tcpdump, too", judge.count("tcp and dst port 80"), count)

    world.expect("6.2 ends after SIGINT", link.end(signal.SIGINT), 0)
    world.expect("6.3 ends after SIGTERM", worms.end(signal.SIGTERM), 0)
    wait_for(lambda: int(watcher.do("active")[0]) == 0, "nothing is left of them")
    world.expect("nothing lost", watcher.device_stats("eth0")["dropped_kernel"], 0)
