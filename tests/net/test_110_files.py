#!/usr/bin/env python3
"""Files that do not take what is written to them: a pipe that nobody reads, /dev/full, a disk that becomes full. Only who writes them
suffers, its account says so, and closing tells.

SPDX-License-Identifier: BSD-2-Clause
"""
import errno
import os

from netns import World, Stream, Sender, plain, packets_in, wait_for

with World() as world:
    world.veth("out", "in")
    mapid = world.mapid()
    observer = world.client()
    fd, counter = observer.flow("in", ("PKT_COUNTER",))
    good = world.folder / "good.pcap"
    well, written = observer.flow("in", ("TO_FILE", 0, good, 0))
    descriptors = mapid.descriptors()

    fifo = world.folder / "fifo"
    os.mkfifo(fifo)
    holder = os.open(fifo, os.O_RDWR)  # there is a reader, but it does not read
    disk = world.folder / "disk"
    disk.mkdir()
    world.ip_command(f"mount -t tmpfs -o size=256k tmpfs {disk}")
    clients = {name: world.client() for name in ("fifo", "/dev/full", "disk")}
    paths = {"fifo": fifo, "/dev/full": "/dev/full", "disk": disk / "small.pcap"}
    flows = {name: client.flow("in", ("TO_FILE", 0, paths[name], 0), ("PKT_COUNTER",)) for name, client in clients.items()}

    sender = Sender("out")
    sent = 8000
    sender.send(plain(i, 1000) for i in range(sent))
    world.expect("another program counts all", world.reach(observer, fd, counter, sent), sent)

    for name in ("/dev/full", "disk"):
        client, (flow, file, _) = clients[name], flows[name]
        wait_for(lambda: client.read(flow, file) == -errno.ENOSPC, lambda: f"{name}: {client.read(flow, file)}")
        world.expect_true(f"{name}: the result says why", True, "-ENOSPC")
    for name, client in clients.items():
        flow, file, behind = flows[name]
        stats = client.flow_stats(flow)
        world.expect(f"{name}: seen", stats["seen"], sent)
        world.expect_law(name, stats)
        world.expect_true(f"{name}: what was not written was dropped", stats["dropped_file"] > 0, stats["dropped_file"])
        world.expect(f"{name}: functions behind it see all packets", client.read(flow, behind), sent)
        if name != "fifo":
            world.expect(f"{name}: delivered is what is in the file", stats["delivered"],
                         packets_in(paths[name]) if name == "disk" else 0)

    # Closing the hung one takes a while; meanwhile the others work.
    clients["fifo"].begin("close", flows["fifo"][0])
    sender.send(plain(i, 1000) for i in range(500))
    sent += 500
    world.expect("another program counts on", world.reach(observer, fd, counter, sent), sent)
    late, late_counter = observer.flow("in", ("BPF_FILTER", "not tcp"), ("PKT_COUNTER",))[0::2]
    observer.close(late)
    for name in ("/dev/full", "disk"):
        world.expect_refused(f"{name}: closing", 6155, ["No space left"], clients[name].close, flows[name][0])
    world.expect_refused("fifo: closing", 6155, [], clients["fifo"].answer, "close")
    for name, client in clients.items():
        world.expect_refused(f"{name}: the flow is closed all the same", 6145, [], client.read, *flows[name][:2])
        world.expect(f"{name}: the program ends", client.quit(), 0)
    world.expect_true("the full disk has whole packets only", 0 < packets_in(disk / "small.pcap") < 300, packets_in(disk / "small.pcap"))

    # A client with a hung file is killed.
    dead = world.client()
    dead.flow("in", ("TO_FILE", 0, fifo, 0))
    sender.send(plain(i, 1000) for i in range(500))
    sent += 500
    dead.kill()
    world.expect("another program counts on", world.reach(observer, fd, counter, sent), sent)
    wait_for(lambda: int(observer.do("active")[0]) == 2, "its flow has gone")
    wait_for(lambda: mapid.descriptors() <= descriptors, lambda: f"{descriptors} descriptors, has {mapid.descriptors()}")

    observer.close(well)
    world.expect("the good file is complete", packets_in(good), sent)
    world.expect("a pipe without a reader is no file", os.close(holder), None)
    world.expect_refused("a folder that is not there", 6155, ["nowhere"], observer.apply,
                         int(observer.do("flow", "in")[0]), "TO_FILE", 0, world.folder / "nowhere" / "x.pcap", 0)
    world.expect("the last count", observer.read(fd, counter), sent)
    stats = observer.flow_stats(fd)
    world.expect("and account", (stats["seen"], stats["delivered"]), (sent, sent))
