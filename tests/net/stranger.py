#!/usr/bin/env python3
"""A client of mapid that shares no line with it: it knows docs/protocol.md only. Counts and reads the packets of a trace and
compares them, byte by byte, with what it finds in the file itself.

SPDX-License-Identifier: BSD-2-Clause

Usage: stranger.py SOCKET TRACE.pcap
"""
import os
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
import mapi_wire as wire  # noqa: E402


def packets_of(path):
    """[(seconds, fraction of 2^-32 s, wire length, frame)] of a pcap file with microseconds, Ethernet."""
    with open(path, "rb") as file:
        data = file.read()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xA1B2C3D4 and link == 1, "this test reads pcap with microseconds and Ethernet only"
    at, found = 24, []
    while at < len(data):
        sec, usec, caplen, wlen = struct.unpack_from("<IIII", data, at)
        found.append((sec, usec, wlen, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    return found


def is_tcp(frame):
    kind = frame[12:14]
    if kind == b"\x08\x00":
        return frame[23:24] == b"\x06"
    return kind == b"\x86\xdd" and (frame[20:21] == b"\x06" or (frame[20:21] == b"\x2c" and frame[54:55] == b"\x06"))


def repeated(path, times):
    """A trace that does not fit into a ring to begin with, so that room has to be made and rings go round."""
    with open(path, "rb") as file:
        data = file.read()
    out = tempfile.NamedTemporaryFile(prefix="mapi-stranger-", suffix=".pcap")
    out.write(data + data[24:] * (times - 1))
    out.flush()
    return out


def check_same(got, expected):
    ts, _, wlen, frame = got
    sec, usec, wlen_expected, frame_expected = expected
    assert ts >> 32 == sec and abs((ts & 0xFFFFFFFF) * 1000000 / 2**32 - usec) < 1, f"time {ts:x} of {sec}.{usec:06}"
    assert wlen == wlen_expected and frame == frame_expected, "another packet than the one in the file"


def open_flow(session, path):
    with open(path, "rb", buffering=0) as file:
        _, fields, _ = session.request(wire.CREATE_FLOW, [(2, [(1, "trace"), (2, path)])], [file.fileno()],
                                       wanted=wire.FLOW_NUMBER)
    flow = wire.number(fields, 1)
    assert flow > 0
    return flow


def apply(session, flow, name, values=()):
    _, fields, _ = session.request(wire.DESCRIBE, [(1, flow), (2, name)], wanted=wire.FUNCTION)
    arguments = [wire.decode(a) for a in fields.get(5, [])]
    assert wire.text(fields, 1) == name and wire.text(fields, 2) == "stdflib", fields
    assert len(arguments) == len(values), f"{name} has {len(arguments)} arguments"
    _, fields, _ = session.request(wire.APPLY, [(1, flow), (2, name)] + [(3, [v]) for v in values],
                                   wanted=wire.FUNCTION_ID)
    return wire.number(fields, 1)


def catalogue(session):
    _, fields, _ = session.request(wire.CATALOGUE, wanted=wire.LIBRARIES)
    names = {}
    for library in map(wire.decode, fields[1]):
        for function in map(wire.decode, library.get(2, [])):
            assert wire.text(function, 2) == wire.text(library, 1)
            names[wire.text(function, 1)] = function
    assert {"BPF_FILTER", "PKT_COUNTER", "BYTE_COUNTER", "TO_BUFFER"} <= set(names), sorted(names)
    assert [chr(wire.number(wire.decode(a), 1)) for a in names["BPF_FILTER"][5]] == ["s"]
    assert wire.number(names["PKT_COUNTER"], 6) == 1 and wire.number(names["TO_BUFFER"], 6) == 3
    return names


def run_flow(session, path, want):
    """One flow over one trace. Returns how often room was made."""
    everything = packets_of(path)
    expected = [p for p in everything if want == "" or is_tcp(p[3])]
    flow = open_flow(session, path)
    fids = []
    if want != "":
        fids.append(apply(session, flow, "BPF_FILTER", [(1, want)]))
    fids.append(apply(session, flow, "PKT_COUNTER"))
    fids.append(apply(session, flow, "BYTE_COUNTER"))
    fids.append(apply(session, flow, "TO_BUFFER", [(2, wire.fold(0))]))

    _, fields, _ = session.request(wire.CONNECT, [(1, flow)], wanted=wire.CONNECTED)
    status, places = wire.message(fields, 1), [wire.decode(p) for p in fields[2]]
    assert [wire.number(p, 1) for p in places] == fids
    segments = {}
    for place in [status] + places:
        which = wire.number(place, 4)
        if which not in segments:
            _, fields, (fd,) = session.request(wire.SEGMENT, [(1, which)], wanted=wire.SEGMENT_MEMORY, wanted_fds=1)
            segments[which] = wire.Segment(fd, wire.number(fields, 1))
    count, octets, buffer = places[-3:]
    assert [wire.number(p, 2) for p in places[-3:]] == [1, 1, 3]

    ring = wire.Ring(session, segments[wire.number(buffer, 4)], wire.number(buffer, 5), flow, fids[-1])
    waker = wire.Waker(session, flow)
    got = 0
    while True:
        packet = ring.packet()
        if packet == "end":
            break
        if packet == "empty":
            waker.wait([ring])
            continue
        check_same(packet, expected[got])
        got += 1

    def read(place):
        return segments[wire.number(place, 4)].counter(wire.number(place, 5), flow, wire.number(place, 1))

    state, error = segments[wire.number(status, 4)].status(wire.number(status, 5), flow)
    assert (state, error) == (wire.FINISHED, 0), f"status {state}, error {error}"
    assert got == len(expected), f"{got} packets read, {len(expected)} expected"
    assert read(count) == len(expected), f"{read(count)} packets counted, {len(expected)} expected"
    assert read(octets) == sum(p[2] for p in expected)
    session.request(wire.TRACE_ERROR, [(1, flow)])

    _, fields, _ = session.request(wire.FLOW_STATS, [(1, flow)], wanted=wire.ACCOUNT)
    seen, parts = wire.number(fields, 2), [wire.number(fields, n) for n in range(3, 9)]
    assert seen == len(everything) == sum(parts), f"{seen} seen, {parts}, {len(everything)} in the trace"
    assert parts[0] == len(expected) and sum(parts[2:]) == 0
    _, fields, _ = session.request(wire.FLOW_INFO, [(1, flow)], wanted=wire.FLOW_FACTS)
    assert (wire.number(fields, 1), wire.number(fields, 2), wire.number(fields, 5), wire.number(fields, 8)) == (
        flow, os.getuid(), len(fids), wire.FINISHED)
    session.request(wire.CLOSE_FLOW, [(1, flow)])
    refused(session, 6145, wire.CLOSE_FLOW, [(1, flow)])
    ring.close()
    waker.close()
    return ring.kicks, got


def refused(session, code, body, fields=(), fds=()):
    try:
        session.request(body, fields, fds)
    except wire.Refused as why:
        assert why.code == code, f"{why} instead of {code}"
        assert why.sentence != ""
    else:
        raise AssertionError(f"request {body} was not refused")


def refusals(session):
    refused(session, 6145, wire.CONNECT, [(1, 2**31 - 1)])
    refused(session, 6145, wire.APPLY, [(1, 2**31 - 1), (2, "PKT_COUNTER")])
    refused(session, 3200, wire.CREATE_FLOW, [(1, "no such device")])
    refused(session, 6156, wire.CREATE_FLOW, [(2, [(1, "trace"), (2, "nothing beside it")])])
    refused(session, 3202, wire.START_DEVICE, [(1, "nothing@1")])
    refused(session, 6146, wire.SEGMENT, [(1, 4000)])
    refused(session, 5121, 40)  # of a later version
    _, fields, _ = session.request(wire.DEVICE_KNOWN, [(1, "no such device")], wanted=wire.KNOWN)
    assert wire.number(fields, 1) == 0
    ids = [session.send(wire.PING) for _ in range(10)]
    for ident in reversed(ids):
        assert session.answer(ident)[0] == wire.DONE


def main():
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    session = wire.Session(sys.argv[1])
    limits = wire.message(session.welcome, 3)
    assert wire.number(session.welcome, 1) == 1 and wire.number(session.welcome, 4) == 1
    assert wire.number(limits, 1) == wire.MESSAGE_MAX and all(wire.number(limits, n) > 0 for n in range(1, 7))
    names = catalogue(session)
    refusals(session)
    run_flow(session, sys.argv[2], "tcp")
    with repeated(sys.argv[2], 1 + (12 << 20) // os.path.getsize(sys.argv[2])) as large:
        kicks, got = run_flow(session, large.name, "")
    assert kicks > 0, "a ring of 12 MB?"
    session.close()
    print(f"{wire.text(session.welcome, 2)}: {len(names)} functions, {got} packets read, room made {kicks} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
