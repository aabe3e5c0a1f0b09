#!/usr/bin/env python3
"""A client that wants too much: a thousand flows, more memory than there is for it, filters that take minutes to compile. It is told
so, and another program's flow on the loaded device loses nothing.

SPDX-License-Identifier: BSD-2-Clause
"""
import random

from netns import World, Stream, Refused, children, wait_for

with World() as world:
    world.veth("out", "in")
    mapid = world.mapid("max_flows=1200\nmax_memory=64M\n")
    observer = world.client()
    fd, counter = observer.flow("in", ("PKT_COUNTER",))
    default = world.mapid("")
    stream = Stream(world, "out")

    # One thousand flows, all counting.
    greedy = world.client()
    flows = [greedy.flow("in", *([("BPF_FILTER", f"ip[8] = {i % 250}")] if i % 5 == 0 else []), ("PKT_COUNTER",))
             for i in range(1000)]
    world.expect("a thousand flows", len({flow[0] for flow in flows}), 1000)
    last = greedy.flow("in", ("PKT_COUNTER",))
    world.expect_true("the last one counts", world.reach(greedy, *last, 100) >= 100)
    for _ in range(199):
        greedy.do("flow", "in")
    world.expect_refused("one more than the limit", 9000, ["1200"], greedy.do, "flow", "in")
    greedy.close(flows[0][0])
    world.expect_true("and when one is closed, there is room", int(greedy.do("flow", "in")[0]) > 0)
    greedy.kill()
    wait_for(lambda: int(observer.do("active")[0]) == 1, "its flows have gone")

    # The limits without a configuration.
    modest = world.client({"MAPI_SOCKET": str(default.socket)})
    made = 0
    try:
        for made in range(1000):
            modest.do("flow", "in")
    except Refused as why:
        world.expect("a thousand flows, by default: refused", why.code, 9000)
        world.expect_true("with a sentence", "512" in why.text, why.text)
    world.expect("flows by default", made, 512)
    world.expect("mapid goes on", modest.quit(), 0)

    # Memory: packet rings.
    greedy = world.client()
    rings = 0
    try:
        for rings in range(100):
            flow = int(greedy.do("flow", "in")[0])
            greedy.apply(flow, "TO_BUFFER", 1)
    except Refused as why:
        world.expect("more rings than memory", why.code, 9000)
        world.expect_true("with a sentence", "memory" in why.text, why.text)
    world.expect_true("rings for 64 MB", 8 <= rings <= 16, rings)
    greedy.kill()

    # Filters.
    rng = random.Random(100)

    def hosts(n):
        return " or ".join(f"host 10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(n))
    long_text = "udp and not (" + " or ".join(f"dst port {i}" for i in range(1, 5000))
    long_text = long_text[:long_text.rindex(" or ", 0, 65000)] + ")"
    outcomes = {}
    greedy = world.client()
    for what, text in (("64 kB", long_text), ("5,000 hosts", hosts(5000)), ("800 hosts", hosts(800)), ("200 hosts", hosts(200)),
                       ("garbage", "and and"), ("too many brackets", "(" * 60000)):
        flow = int(greedy.do("flow", "in")[0])
        try:
            fid = greedy.apply(flow, "BPF_FILTER", text)
            world.expect_true(f"{what}: served", fid > 0)
            outcomes[what] = 0
        except Refused as why:
            outcomes[what] = why.code
            world.expect_true(f"{what}: refused with a sentence", len(why.text) > 20, f"{why.code} {why.text}")
        greedy.close(flow)
    world.expect_true("a filter of 64 kB is served or refused", outcomes["64 kB"] in (0, 9000, 1025), outcomes["64 kB"])
    world.expect_true("5,000 hosts are served or refused", outcomes["5,000 hosts"] in (0, 9000), outcomes["5,000 hosts"])
    world.expect_true("800 hosts are served or refused", outcomes["800 hosts"] in (0, 9000), outcomes["800 hosts"])
    world.expect("garbage is refused", outcomes["garbage"], 1025)

    # All at once from several clients, one of which is killed meanwhile.
    several = [world.client() for _ in range(3)]
    for client in several:
        flow = int(client.do("flow", "in")[0])
        client.begin("apply", flow, "BPF_FILTER", hosts(800))
    wait_for(lambda: len(children(mapid.pid)) > 1, "filters are being compiled")
    several[0].kill()
    for client in several[1:]:
        try:
            client.answer("a filter of 800 hosts")
            code = 0
        except Refused as why:
            code = why.code
        world.expect_true("each gets an answer", code in (0, 9000), code)
    wait_for(lambda: len(children(mapid.pid)) == 1, "no compiler is left")
    flow, ok = greedy.flow("in", ("BPF_FILTER", "tcp"), ("PKT_COUNTER",))[0::2]
    world.expect("filters are compiled as before", greedy.read(flow, ok), 0)

    sent = stream.stop()
    world.expect("the other program has lost nothing", world.reach(observer, fd, counter, sent), sent)
    stats = observer.flow_stats(fd)
    world.expect("its account", (stats["seen"], stats["delivered"]), (sent, sent))
