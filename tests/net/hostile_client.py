#!/usr/bin/env python3
"""A client that wants to do harm: garbage, half messages, wrong ids, descriptors that nobody asked for, requests before hello,
huge strings, mutated messages with a fixed seed, closing in the middle, memory shared with mapid filled with nonsense. At
the end an honest session must find everything in order. Says how many messages were answered, and how many sessions ended.

SPDX-License-Identifier: BSD-2-Clause

Usage: hostile_client.py SOCKET TRACE.pcap [MUTATIONS [SEED]]        (100000, 1)
"""
import ctypes
import errno
import os
import random
import select
import signal
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
import mapi_wire as wire  # noqa: E402
import stranger  # noqa: E402

counts = {"answered": 0, "refused": 0, "ended": 0, "unanswered": 0, "sessions": 0}


class Attack:
    """A session that survives what it does: it connects again when mapid has ended it."""

    def __init__(self, path):
        self.path, self.session = path, None

    def open(self, greet=True):
        self.close()
        counts["sessions"] += 1
        self.session = wire.Session(self.path, greet)
        return self.session

    def close(self):
        if self.session is not None:
            for _, _, fds in self.session.early.values():
                close_all(fds)
            self.session.close()
        self.session = None

    def throw(self, data, fds=()):
        """Sends bytes. False: the session had ended, or does so."""
        if self.session is None:
            self.open()
        try:
            self.session.send_bytes(data, fds)
            return True
        except (BrokenPipeError, ConnectionResetError):
            counts["ended"] += 1
            self.close()
        except OSError as why:
            assert why.errno in (errno.EMSGSIZE, errno.EINVAL, errno.ETOOMANYREFS), why
        return False

    def settle(self):
        """Everything thrown so far has been dealt with: a ping comes back, or the session has ended. Returns what came."""
        came = []
        if self.session is None:
            return came
        try:
            ident = self.session.send(wire.PING)
        except (BrokenPipeError, ConnectionResetError):
            ident = None  # it has ended; what it said before is still there
        try:
            while True:
                got, body, fields, fds = self.session.receive()
                close_all(fds)
                if got == ident and body == wire.DONE:
                    return came
                came.append((got, body, wire.number(fields, 1)))
                counts["refused" if body == wire.ERROR else "answered"] += body != wire.EVENT
        except (wire.Closed, ConnectionResetError):
            counts["ended"] += 1
            self.close()
        return came


def close_all(fds):
    for fd in fds:
        os.close(fd)


def envelope(body, fields=(), ident=1, version=1):
    return wire.encode([(1, version), (2, ident), (body, list(fields))])


# ---- attacks: each with what must come of it ----------------------------------------------------------------------


def before_hello(path):
    """Requests are refused, and that was it; what is no request is refused at least."""
    requests = [m for m in samples(1) if not set(wire.decode(m)) & {wire.HELLO, wire.PING, wire.CANCEL}]
    for data in requests + [envelope(body, [(1, 1)]) for body in list(range(60, 79)) + [90, 95]]:
        attack = Attack(path)
        attack.open(greet=False)
        attack.throw(data)
        came = attack.settle()
        assert [b for _, b, _ in came] == [wire.ERROR], f"{data} before hello: {came}"
        assert attack.session is None or data not in requests, f"{data} before hello"
        attack.close()


def greetings(path):
    for low, high in ((2, 9), (0, 0), (5, 1)):
        attack = Attack(path)
        attack.open(greet=False)
        attack.throw(envelope(wire.HELLO, [(1, low), (2, high)]))
        came = attack.settle()
        assert [(i, b) for i, b, _ in came] == [(1, wire.ERROR)] and attack.session is None, f"{low}-{high}: {came}"
    attack = Attack(path)
    attack.open()
    attack.throw(envelope(wire.HELLO, [(1, 1), (2, 1)], ident=77))
    assert (77, wire.ERROR, 5121) in attack.settle() and attack.session is not None, "a second hello"
    attack.close()


def garbage(path, rng):
    attack = Attack(path)
    for length in [1, 2, 3, 7, 64, 1000, 65536, wire.MESSAGE_MAX, wire.MESSAGE_MAX + 1, 200000]:
        for _ in range(20):
            attack.throw(rng.randbytes(length))
            attack.settle()
    attack.open()
    attack.throw(b"")  # the same as the end
    attack.settle()
    assert attack.session is None, "an empty message is the end"
    attack.open()
    attack.throw(bytes(wire.MESSAGE_MAX + 1))
    attack.settle()
    assert attack.session is None, "a message that is too long is the end"


def halves(path):
    """Every prefix of an honest message is answered or ends the session; it never hangs."""
    whole = envelope(wire.APPLY, [(1, 1), (2, "BPF_FILTER"), (3, [(1, "tcp port 80")])], ident=300)
    attack = Attack(path)
    for cut in range(len(whole)):
        attack.throw(whole[:cut])
        attack.settle()
    attack.close()


def ids(path):
    attack = Attack(path)
    attack.throw(envelope(wire.PING, ident=0))
    attack.settle()
    assert attack.session is None, "a request without an id"
    attack.open()
    for _ in range(40):  # the same id again and again
        attack.throw(envelope(wire.FLOW_INFO, [(1, 0), (2, 1)], ident=5))
    came = attack.settle()
    while attack.session is not None and len(came) < 40:
        came += attack.settle()
    assert [i for i, _, _ in came] == [5] * 40
    for ident in (2**64 - 1, 2**63, 2**32):
        attack.throw(envelope(wire.CANCEL, [(1, ident)], ident=ident))
        assert (ident, wire.DONE, 0) in attack.settle()
    for body in list(range(60, 79)) + [90]:  # answers that nobody asked for
        attack.throw(envelope(body, [(1, 1), (2, "x")], ident=9))
        attack.settle()
    attack.throw(envelope(wire.PING, ident=3, version=2))
    assert (3, wire.ERROR, 5121) in attack.settle() and attack.session is not None
    attack.close()


def descriptors(path, trace):
    attack = Attack(path)
    with open(trace, "rb") as file:
        for count in range(1, 60):
            attack.throw(envelope(wire.PING, ident=count), [file.fileno()] * count)
            attack.settle()
            assert (attack.session is None) == (count > wire.FDS_MAX), f"{count} descriptors"
        for fd, name in odd_descriptors(file.fileno()):
            attack.throw(envelope(wire.CREATE_FLOW, [(2, [(1, "trace"), (2, name), (3, "wait_ms=1")])], 500), [fd])
            came = attack.settle()
            while (attack.session is not None) and not came:
                came = attack.settle()
            assert came and came[0][:2] == (500, wire.ERROR), f"a flow on {name}: {came}"
    attack.close()


def odd_descriptors(file):
    """Things that are no traces, each closed after its turn."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    closing = [ours.detach(), theirs.detach(), reader, writer]
    for flags, name in ((os.O_RDONLY, "/"), (os.O_WRONLY, "/dev/null"), (os.O_RDONLY, "/dev/null"),
                        (os.O_RDONLY, "/dev/zero"), (os.O_PATH, "/etc/passwd")):
        closing.append(os.open(name, flags | os.O_CLOEXEC))
        yield closing[-1], name
    closing.append(os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600))
    yield closing[-1], "an empty file"
    closing.append(os.eventfd(0) if hasattr(os, "eventfd") else os.dup(reader))
    yield closing[-1], "an eventfd"
    poller = select.epoll()
    yield poller.fileno(), "an epoll descriptor"
    poller.close()
    yield closing[0], "a socket"
    yield closing[2], "a pipe that stays silent"
    yield closing[3], "the wrong end of a pipe"
    close_all(closing)


def strings(path):
    attack = Attack(path)
    attack.open()
    for length in (255, 256, 4096, 65535, 65536, 65537, 100000, 130900):
        for body, which in ((wire.DEVICE_KNOWN, 1), (wire.CREATE_FLOW, 1), (wire.START_DEVICE, 1), (wire.DESCRIBE, 2),
                            (wire.DEVICE_STATS, 1), (wire.APPLY, 2)):
            for letter in (b"A", b"%", b"\xff", b"\n", b"("):
                attack.throw(envelope(body, [(which, letter * length)], ident=7))
    while attack.settle():
        pass
    assert attack.session is not None, "long strings are refused, and no more"
    attack.throw(envelope(wire.DEVICE_KNOWN, [(1, b"a\0b")], ident=8))
    assert (8, wire.ERROR, 5121) in attack.settle()
    attack.throw(envelope(wire.APPLY, [(1, 1), (2, "X")] + [(3, [(1, "v")])] * 65, ident=9))
    assert (9, wire.ERROR, 5121) in attack.settle()
    attack.throw(envelope(wire.PING, ident=10) + b"\x20\x01" * 60000)  # expands
    assert (10, wire.ERROR, 9000) in attack.settle()
    assert attack.session is not None
    attack.close()


def numbers(path):
    """All requests with all kinds of wrong numbers."""
    attack = Attack(path)
    attack.open()
    odd = (0, 1, -1, 2**31 - 1, -2**31, 2**32 - 1, 2**63, 2**64 - 1, 65536)
    for body in list(range(11, 36)):
        for a in odd:
            for b in odd:
                attack.throw(envelope(body, [(1, a), (2, b)], ident=7))
                attack.throw(envelope(body, [(1, a), (2, "x")], ident=7))
                attack.throw(envelope(body, [(1, "x"), (2, b)], ident=7))
            attack.settle()
    while attack.settle():
        pass
    assert attack.session is not None, "wrong numbers are refused, and no more"
    attack.close()


def filters(path, trace):
    attack = Attack(path)
    session = attack.open()
    flow = stranger.open_flow(session, trace)
    for filter_text in (b"((((", b"tcp port 99999999", b"\xff\xfe", b"%s%n", b"(" * 30000, b"not " * 15000 + b"tcp", b""):
        ident = session.send(wire.APPLY, [(1, flow), (2, "BPF_FILTER"), (3, [(1, filter_text)])])
        body, fields, _ = session.answer(ident)
        assert body in (wire.ERROR, wire.FUNCTION_ID), body
        counts["refused" if body == wire.ERROR else "answered"] += 1
        if body == wire.ERROR:
            assert wire.number(fields, 1) in (1025, 9000, 7001, 7006, 5121), wire.text(fields, 2)[:200]
    attack.close()


def samples(flow):
    """Honest messages to be mutated. None of them needs a descriptor."""
    value = [(3, [(1, "tcp port 80")]), (3, [(2, 6)]), (3, [(3, 7)]), (3, [(4, "/tmp/x")]), (3, [])]
    return [envelope(body, fields, 300) for body, fields in (
        (wire.HELLO, [(1, 1), (2, 1), (3, "program")]), (wire.CATALOGUE, []), (wire.DEVICE_KNOWN, [(1, "lo")]),
        (wire.CREATE_DEVICE, [(1, [(1, "trace"), (2, "x.pcap"), (3, "wait_ms=1")])]), (wire.START_DEVICE, [(1, "x@1")]),
        (wire.DELETE_DEVICE, [(1, "x@1")]), (wire.CREATE_FLOW, [(1, "no such device"), (3, 5)]),
        (wire.CREATE_FLOW, [(2, [(1, "trace"), (2, "x.pcap")])]), (wire.DESCRIBE, [(1, flow), (2, "BPF_FILTER")]),
        (wire.APPLY, [(1, flow), (2, "BPF_FILTER"), value[0]]), (wire.APPLY, [(1, flow), (2, "X")] + value),
        (wire.APPLY, [(1, flow), (2, "TO_BUFFER"), value[1]]), (wire.CONNECT, [(1, flow + 1000)]),
        (wire.CLOSE_FLOW, [(1, flow + 1000)]), (wire.SEGMENT, [(1, 0)]), (wire.RING, [(1, flow), (2, 1)]),
        (wire.WAITING, [(1, flow), (2, 1)]), (wire.EVENT_FD, [(1, flow)]), (wire.TRACE_ERROR, [(1, flow)]),
        (wire.FILE_ERROR, [(1, flow), (2, 1)]), (wire.FLOW_INFO, [(1, 1), (2, 1)]),
        (wire.FUNCTION_INFO, [(1, flow), (2, 1), (3, 1)]), (wire.DEVICE_INFO, [(1, 1), (2, 1)]),
        (wire.LIBRARY_INFO, [(1, 0)]), (wire.LIBFUNCT_INFO, [(1, 0), (2, 3)]), (wire.DEVICE_STATS, [(1, "lo")]),
        (wire.FLOW_STATS, [(1, flow)]), (wire.CANCEL, [(1, 300)]), (wire.PING, []))]


def mutate(rng, data):
    """Anywhere; behind version and id; or inside of the body, so that the message is looked into."""
    where = rng.randrange(8)
    if where < 2:
        keep = 5 * where
        return data[:keep] + mutated(rng, bytearray(data[keep:]))
    (body, payload), = [(n, v[0]) for n, v in wire.decode(data).items() if n >= 10]
    return envelope(body, ident=300)[:5] + wire.encode([(body, mutated(rng, bytearray(payload)))])


def mutated(rng, data):
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at, what = rng.randrange(len(data)), rng.randrange(6)
        if what == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at] = rng.randrange(256)
        elif what == 2:
            data[at] = rng.choice((0, 0x7F, 0x80, 0xFF))
        elif what == 3:
            del data[at:]
        elif what == 4:
            data[at:at] = data[at:at + rng.randint(1, 8)]
        else:
            del data[at:at + rng.randint(1, 8)]
    return bytes(data)


def mutations(path, trace, rng, count):
    """One by one, so that all are looked at, and sixteen at a time."""
    attack = Attack(path)
    honest = None
    for n in range(count):
        if attack.session is None:
            session = attack.open()
            honest = samples(stranger.open_flow(session, trace))
        data = mutate(rng, rng.choice(honest))
        if data == b"":
            continue
        if not attack.throw(data):
            counts["unanswered"] += 1
        if n % 16 == 0 or n % 1024 < 768:
            attack.settle()
    attack.settle()
    attack.close()


def closings(path, trace, rng):
    """Sessions that end while something is under way; what they sent is still in the socket."""
    for n in range(200):
        attack = Attack(path)
        session = attack.open()
        flow = stranger.open_flow(session, trace) if n % 2 else 0
        todo = [(wire.APPLY, [(1, flow), (2, "BPF_FILTER"), (3, [(1, "tcp or udp port 53")])]),
                (wire.APPLY, [(1, flow), (2, "TO_BUFFER"), (3, [(2, 0)])]), (wire.CONNECT, [(1, flow)]),
                (wire.RING, [(1, flow), (2, 1)]), (wire.EVENT_FD, [(1, flow)]), (wire.CATALOGUE, []),
                (wire.CLOSE_FLOW, [(1, flow)])]
        for body, fields in todo[:rng.randint(1, len(todo))]:
            session.send(body, fields)
        if n % 3 == 0:
            session.socket.shutdown(socket.SHUT_WR)
        attack.close()


def deaf(path):
    """Asks and asks and never reads: it must be the only one who waits."""
    attack = Attack(path)
    session = attack.open()
    session.socket.setblocking(False)
    asked = 0
    try:
        while asked < 100000:
            session.send(wire.CATALOGUE)
            asked += 1
    except BlockingIOError:
        pass
    other = Attack(path)
    other.open()
    other.throw(envelope(wire.CATALOGUE, ident=5))
    came = other.settle()
    while not came:
        came = other.settle()
    assert came[0][:2] == (5, wire.LIBRARIES), "others are answered meanwhile"
    other.close()
    attack.close()
    return asked


def flood(fd, action):
    """A process that does nothing else with a descriptor, which is blocking for whoever shares it. Returns its number."""
    os.set_blocking(fd, True)
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        try:
            while True:
                action(fd)
        except OSError:
            pass
        finally:
            os._exit(0)
    return child


# Takes every wake-up away; sends one after the other; fills it up, if it can be filled.
FLOODS = (lambda fd: os.read(fd, 8), wire.expire, lambda fd: os.write(fd, struct.pack("=Q", 2**64 - 2)))


def shared_memory(path, trace):
    """Lies in everything that it may write: its page of the ring, the data, and the descriptors to wake with."""
    for n, lie in enumerate((0, 2**64 - 1, 1, 2**63, 0xFFFFFFFF, 4096, 1 << 20, 8)):
        attack = Attack(path)
        session = attack.open()
        with stranger.repeated(trace, 4) as large:
            flow = stranger.open_flow(session, large.name)
            fid = stranger.apply(session, flow, "TO_BUFFER", [(2, 0)])
            _, fields, _ = session.request(wire.CONNECT, [(1, flow)], wanted=wire.CONNECTED)
            place = wire.decode(fields[2][0])
            _, fields, (fd,) = session.request(wire.SEGMENT, [(1, wire.number(place, 4))], wanted=wire.SEGMENT_MEMORY,
                                               wanted_fds=1)
            refuse_writing(fd)
            segment = wire.Segment(fd, wire.number(fields, 1))
            ring = wire.Ring(session, segment, wire.number(place, 5), flow, fid)
            waker = wire.Waker(session, flow)
            floods = [flood(fd, action) for fd in (ring.kick_fd, waker.fd) for action in FLOODS[n % 4:][:1] or FLOODS]
            try:
                lie_in_ring(session, ring, lie)
                other = stranger.open_flow(session, large.name)
                session.request(wire.CLOSE_FLOW, [(1, other)])
                session.request(wire.CLOSE_FLOW, [(1, flow)])
                attack.close()
                honest(path, trace)
            finally:
                for child in floods:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
            ring.close()
            waker.close()


def lie_in_ring(session, ring, lie):
    ring.memory[:] = struct.pack("=Q", lie) * (len(ring.memory) // 8)
    session.request(wire.WAITING, [(1, ring.flow), (2, ring.fid)])
    ring.memory[:] = struct.pack("=Q", lie ^ 0x5555) * (len(ring.memory) // 8)
    session.request(wire.FLOW_STATS, [(1, ring.flow)], wanted=wire.ACCOUNT)


def blocking_pipes(path, trace):
    """Hands over pipes and then makes them blocking: traces that do not go on, and files that nobody reads."""
    with open(trace, "rb") as file:
        beginning = file.read(5000)
    for files in (False, True):
        for end in ("close_flow", "close"):
            attack = Attack(path)
            session = attack.open()
            reader, writer = os.pipe()
            if files:
                flow = stranger.open_flow(session, trace)
                session.request(wire.APPLY, [(1, flow), (2, "TO_FILE"), (3, [(2, 0)]), (3, [(4, "pipe")]),
                                             (3, [(3, 0)])], [writer], wanted=wire.FUNCTION_ID)
            else:
                os.write(writer, beginning)
                _, fields, _ = session.request(wire.CREATE_FLOW, [(2, [(1, "trace"), (2, "pipe")])], [reader],
                                               wanted=wire.FLOW_NUMBER)
                flow = wire.number(fields, 1)
                stranger.apply(session, flow, "PKT_COUNTER")
            os.set_blocking(reader, True)
            os.set_blocking(writer, True)
            session.request(wire.CONNECT, [(1, flow)], wanted=wire.CONNECTED)
            os.set_blocking(reader, True)
            os.set_blocking(writer, True)
            other = stranger.open_flow(session, trace)
            session.request(wire.CLOSE_FLOW, [(1, other)])
            if end == "close_flow":
                body, fields, _ = session.answer(session.send(wire.CLOSE_FLOW, [(1, flow)]))
                assert body == wire.DONE or wire.number(fields, 1) == 6155
            attack.close()
            honest(path, trace)
            close_all([reader, writer])


def refuse_writing(fd):
    """A segment cannot be mapped for writing, written or resized."""
    for attempt in (lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 30), lambda: os.pwrite(fd, b"x", 64),
                    lambda: wire.mmap.mmap(fd, 4096, wire.mmap.MAP_SHARED)):
        try:
            attempt()
        except (OSError, ValueError):
            continue
        raise AssertionError("a segment can be changed by a client")


def many(path):
    """More sessions than anybody needs, at the same time."""
    attacks = []
    try:
        for _ in range(300):
            attacks.append(Attack(path))
            attacks[-1].open()
    except (wire.Closed, ConnectionResetError, BrokenPipeError, BlockingIOError):
        pass
    for attack in attacks:
        attack.close()
    deadline = time.monotonic() + 60
    while True:  # they end one after the other; until then mapid may be full
        try:
            wire.Session(path).close()
            return len(attacks)
        except (wire.Closed, ConnectionResetError, BrokenPipeError):
            assert time.monotonic() < deadline, "mapid stays full"


def when_there_is_room(path):
    """A session. Those that have just closed may still count against max_sessions: mapid closes the connection then."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return wire.Session(path)
        except (OSError, wire.Closed):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def honest(path, trace):
    """Everything works, and nothing of the sessions before is left."""
    session = when_there_is_room(path)
    stranger.catalogue(session)
    stranger.refusals(session)
    stranger.run_flow(session, trace, "tcp")
    flow, left = 0, 0
    while True:
        try:
            _, fields, _ = session.request(wire.FLOW_INFO, [(1, flow), (2, 1)], wanted=wire.FLOW_FACTS)
        except wire.Refused:
            break
        flow = wire.number(fields, 1)
        left += 1
    session.close()
    return left


def main():
    if len(sys.argv) not in (3, 4, 5):
        print(__doc__)
        return 2
    path, trace = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100000
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    for attack in (lambda: before_hello(path), lambda: greetings(path), lambda: garbage(path, rng), lambda: halves(path),
                   lambda: ids(path), lambda: descriptors(path, trace), lambda: strings(path), lambda: numbers(path),
                   lambda: filters(path, trace), lambda: closings(path, trace, rng), lambda: deaf(path),
                   lambda: shared_memory(path, trace), lambda: blocking_pipes(path, trace), lambda: many(path),
                   lambda: mutations(path, trace, rng, count)):
        attack()
        honest(path, trace)
    left = honest(path, trace)
    print(", ".join(f"{n} {what}" for what, n in counts.items()) + f"; {left} flows left")
    return 0 if left == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
