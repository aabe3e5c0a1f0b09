#!/usr/bin/env python3
"""Frames that are not everyday ones: VLAN tags that the kernel takes off, frames of 64 KB, the loopback, and all interfaces at once.

SPDX-License-Identifier: BSD-2-Clause
"""
import socket

from netns import World, Sender, plain, tagged, udp, wait_for

with World() as world:
    world.veth("out", "in", mtu=65535)
    world.veth("out2", "in2")
    world.mapid()
    client = world.client()
    sender = Sender("out")

    # VLAN tags: outside and inside of the socket they must be where they were on the wire.
    judge = world.tcpdump("in")
    buffered, packets = client.flow("in", ("BPF_FILTER", "vlan 42 and udp port 53"), ("TO_BUFFER", 1))[0::2]
    every, size = client.flow("in", ("BYTE_COUNTER",))
    twice, inner = client.flow("in", ("BPF_FILTER", "vlan 42 and vlan 43"), ("PKT_COUNTER",))[0::2]
    frame = udp("10.0.0.1", "10.0.0.2", 9, 53, b"tagged")
    sent = [tagged(frame, 42)] * 300 + [tagged(frame, 43)] * 200 + [frame] * 100 + [tagged(tagged(frame, 43), 42)] * 50
    sender.send(sent)
    world.expect("bytes, with the tags", world.reach(client, every, size, sender.bytes), sender.bytes)
    world.expect("tcpdump's account", judge.stop(650), (650, 0))
    world.expect("tcpdump's bytes", sum(judge.lengths()), sender.bytes)
    world.expect("tagged packets in the buffer", client.take(buffered, packets), (300, 300 * (len(frame) + 4)))
    world.expect("tcpdump's tagged packets", judge.count("vlan 42 and udp port 53"), 300)
    world.expect("packets with two tags", client.read(twice, inner), judge.count("vlan 42 and vlan 43"))
    for fd in (buffered, every, twice):
        client.close(fd)

    # 64 KB, as offloading makes them.
    judge = world.tcpdump("in", snaplen=65535)
    fd, size, packets, counter = client.flow("in", ("BYTE_COUNTER",), ("TO_BUFFER", 1), ("PKT_COUNTER",))
    before = sender.bytes
    sender.send(plain(i, n) for i, n in enumerate((65535, 65000, 32768, 9000, 60) * 4))
    total = sender.bytes - before
    world.expect("bytes of large frames", world.reach(client, fd, size, total), total)
    world.expect("large frames kept whole", client.take(fd, packets), (20, total))
    world.expect("tcpdump's account", judge.stop(20), (20, 0))
    world.expect("tcpdump's bytes", sum(judge.lengths()), total)
    client.close(fd)

    # The loopback: the kernel shows each packet there twice, going out and coming in.
    judge = world.tcpdump("lo", "-Q", "in")
    fd, counter, packets = client.flow("lo", ("BPF_FILTER", "udp dst port 5000"), ("PKT_COUNTER",), ("TO_BUFFER", 1))[0:1] + \
        (2, 3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        receiver.bind(("127.0.0.1", 5000))
        for i in range(500):
            talker.sendto(b"y" * i, ("127.0.0.1", 5000))
            receiver.recv(65536)
        world.expect("packets on the loopback, each once", world.reach(client, fd, counter, 500), 500)
        world.expect("tcpdump's account", judge.stop(500)[1], 0)
        world.expect("tcpdump's count", judge.count("udp dst port 5000"), 500)
        # Segmentation offload: one large TCP segment is one packet, and its bytes are all there.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            tcp_fd, tcp_size, tcp_count = client.flow("lo", ("BPF_FILTER", f"tcp dst port {port}"), ("BYTE_COUNTER",),
                                                      ("PKT_COUNTER",))[0:1] + (2, 3)
            judge = world.tcpdump("lo", "-Q", "in", snaplen=65535)
            with socket.create_connection(("127.0.0.1", port)) as stream:
                accepted = listener.accept()[0]
                stream.sendall(b"z" * 400000)
                got = 0
                while got < 400000:
                    got += len(accepted.recv(65536))
                accepted.close()
            wait_for(lambda: judge.count(f"tcp dst port {port} and tcp[tcpflags] & tcp-fin != 0") > 0, "the end of the stream")

            def judged():
                return judge.count(f"tcp dst port {port}")
            wait_for(lambda: client.read(tcp_fd, tcp_count) == judged(),
                     lambda: f"{judged()} segments, have {client.read(tcp_fd, tcp_count)}")
            world.expect_true("segments are larger than any wire takes", client.read(tcp_fd, tcp_size) >= 400000 and
                              max(judge.lengths()) > 9000, max(judge.lengths()))
    world.expect("packets of the loopback in the buffer", client.take(fd, packets)[0], 500)

    # any: packets of all interfaces, each with the number of its own.
    everywhere, counter = client.flow("any", ("BPF_FILTER", "udp dst port 7777"), ("PKT_COUNTER",))[0::2]
    other = Sender("out2")
    frame = udp("10.0.0.1", "10.0.0.2", 1, 7777)
    sender.send([frame] * 100)
    other.send([frame] * 60)
    # A packet that goes from out to in is seen at both ends.
    world.expect("packets on any", world.reach(client, everywhere, counter, 320), 320)
    world.expect("lost on any", client.device_stats("any")["dropped_kernel"], 0)
    world.expect_law("any", client.flow_stats(everywhere))
