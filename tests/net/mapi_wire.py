"""What docs/protocol.md says, in Python without any package: encoding, the socket, segments and packet rings.

Written from that page alone, so that it is a test of the page, too. Used by stranger.py and hostile_client.py.

SPDX-License-Identifier: BSD-2-Clause
"""
import array
import ctypes
import fcntl
import mmap
import os
import select
import socket
import struct

# ---- encoding (section 2) --------------------------------------------------------------------------------------


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def fold(number):  # sint64
    return number << 1 if number >= 0 else (-number << 1) - 1


def encode(fields):
    """A list of (number, value): int, bytes, str or again a list."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            if isinstance(value, list):
                value = encode(value)
            elif isinstance(value, str):
                value = value.encode()
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def take_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def decode(data):
    """{number: [values]}: int, or bytes for strings and messages."""
    fields, at = {}, 0
    while at < len(data):
        key, at = take_varint(data, at)
        if key & 7 == 0:
            value, at = take_varint(data, at)
        elif key & 7 == 2:
            length, at = take_varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            value, at = None, at + {1: 8, 5: 4}[key & 7]
        fields.setdefault(key >> 3, []).append(value)
    return fields


def number(fields, which, default=0):
    return fields.get(which, [default])[-1]


def text(fields, which):
    return fields.get(which, [b""])[-1].decode("utf-8", "replace")


def message(fields, which):
    return decode(fields.get(which, [b""])[-1])


# ---- the envelope's bodies (sections 6, 7) ----------------------------------------------------------------------

(HELLO, CATALOGUE, DEVICE_KNOWN, CREATE_DEVICE, START_DEVICE, DELETE_DEVICE, CREATE_FLOW, DESCRIBE, APPLY, CONNECT,
 CLOSE_FLOW, SEGMENT, RING, WAITING, EVENT_FD, TRACE_ERROR, FILE_ERROR, FLOW_INFO, FUNCTION_INFO, DEVICE_INFO,
 LIBRARY_INFO, LIBFUNCT_INFO, DEVICE_STATS, FLOW_STATS, CANCEL, PING) = range(10, 36)
(ERROR, DONE, WELCOME, LIBRARIES, KNOWN, DEVICE_NAME, FLOW_NUMBER, FUNCTION, FUNCTION_ID, CONNECTED, SEGMENT_MEMORY,
 RING_MEMORY, FLOW_FACTS, FUNCTION_FACTS, DEVICE_FACTS, LIBRARY_FACTS, LIBFUNCT_FACTS, ACCOUNT, LARGE) = range(60, 79)
EVENT = 90
MESSAGE_MAX, FDS_MAX, LARGE_MAX = 131072, 20, 16 << 20


class Refused(Exception):
    """An answer of kind Error."""

    def __init__(self, code, sentence):
        super().__init__(f"{code}: {sentence}")
        self.code, self.sentence = code, sentence


class Closed(Exception):
    """The other side has ended the session."""


class Session:
    """One connection. Requests one by one, or sent with send() and collected with answer()."""

    def __init__(self, path, greet=True, timeout_s=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout_s)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_MAX)
        self.socket.connect(path)
        self.last_id, self.early, self.events, self.welcome = 0, {}, [], None
        if greet:
            _, self.welcome, _ = self.request(HELLO, [(1, 1), (2, 1), (3, "stranger")], wanted=WELCOME)

    def close(self):
        self.socket.close()

    def send_bytes(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def send(self, body, fields=(), fds=()):
        self.last_id += 1
        self.send_bytes(encode([(1, 1), (2, self.last_id), (body, list(fields))]), fds)
        return self.last_id

    def receive(self):
        """The next message: id, body, its fields, descriptors."""
        try:
            data, fds, flags, _ = socket.recv_fds(self.socket, MESSAGE_MAX, FDS_MAX, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it did not read all we sent; what it had to say itself comes behind that
            data, fds, flags, _ = socket.recv_fds(self.socket, MESSAGE_MAX, FDS_MAX, socket.MSG_CMSG_CLOEXEC)
        if not data:
            raise Closed
        assert flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) == 0, "an answer that is cut"
        envelope = decode(data)
        if LARGE in envelope:
            assert len(fds) == 1, "a large answer without its memory"
            data = read_large(fds.pop(), number(message(envelope, LARGE), 1))
            assert number(decode(data), 2) == number(envelope, 2), "a large answer with another id"
            envelope = decode(data)
        bodies = [n for n in envelope if n >= 10]
        assert number(envelope, 1) == 1 and len(bodies) == 1, f"a strange answer: {envelope}"
        return number(envelope, 2), bodies[0], message(envelope, bodies[0]), fds

    def answer(self, to):
        """Waits for the answer to a request; others that come before are kept."""
        while to not in self.early:
            ident, body, fields, fds = self.receive()
            if ident == 0 and body == EVENT:
                self.events.append(fields)
            else:
                assert ident not in self.early, f"two answers to request {ident}"
                self.early[ident] = (body, fields, fds)
        return self.early.pop(to)

    def request(self, body, fields=(), fds=(), wanted=DONE, wanted_fds=0):
        body, fields, fds = self.answer(self.send(body, fields, fds))
        if body == ERROR:
            raise Refused(number(fields, 1), text(fields, 2))
        assert body == wanted, f"answer {body} instead of {wanted}"
        assert len(fds) == wanted_fds or wanted_fds is None, f"{len(fds)} descriptors"
        return body, fields, fds


def read_large(fd, size):
    seals = fcntl.fcntl(fd, 1034)  # F_GET_SEALS
    assert seals & 2 and seals & 8, f"a large answer that is not sealed: {seals}"  # F_SEAL_SHRINK, F_SEAL_WRITE
    assert os.fstat(fd).st_size == size and 0 < size <= LARGE_MAX
    with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as memory:
        data = memory[:]
    os.close(fd)
    return data


# ---- segments (section 9) -----------------------------------------------------------------------------------------

FREE, STATUS, COUNTER, RECORD, PACKETS = range(5)
ACTIVE, FINISHED = 1, 2


class Segment:
    """Mapped read-only. Numbers are read one by one, as the page says."""

    def __init__(self, fd, size):
        seals = fcntl.fcntl(fd, 1034)
        assert seals & 2, "a segment that may shrink"
        self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)
        magic, version, size_bytes, self.entries, entries_offset = struct.unpack_from("=IIQII", self.memory)
        assert (magic, version, size_bytes, entries_offset) == (0x3149504D, 1, size, 64), "a segment of another kind"
        self.u32, self.u64 = memoryview(self.memory).cast("I"), memoryview(self.memory).cast("Q")

    def place(self, entry, flow, fid):
        """The entry's kind, size, and offsets of its slots."""
        assert entry < self.entries
        kind, its_flow, its_fid, size, offset, stride, workers, combine = struct.unpack_from(
            "=IiiIIIII", self.memory, 64 + 64 * entry)
        assert (its_flow, its_fid) == (flow, fid), "an entry of another function"
        assert workers > 0 and offset % 64 == 0 and stride % 64 == 0
        assert offset + stride * (workers - 1) + size + (32 if kind in (COUNTER, RECORD) else 0) <= len(self.memory)
        return kind, size, [offset + stride * w for w in range(workers)], combine

    def counter(self, entry, flow, fid):
        kind, size, slots, combine = self.place(entry, flow, fid)
        assert kind == COUNTER and size in (4, 8)
        total, newest = 0, (-1, 0)
        for slot in slots:
            base = self.u64[slot // 8 + 1]
            value = self.u64[slot // 8 + 4] if size == 8 else self.u32[slot // 4 + 8]
            if combine == 0:
                total += value - base
            elif combine == 1:
                total = max(total, value)
            elif self.u64[slot // 8 + 2] > newest[0]:
                newest = (self.u64[slot // 8 + 2], value)
        return (total if combine < 2 else newest[1]) % (1 << 8 * size)

    def status(self, entry, flow):
        """Status and error of a flow."""
        kind, _, slots, _ = self.place(entry, flow, 0)
        assert kind == STATUS
        return self.u32[slots[0] // 4], struct.unpack_from("=i", self.memory, slots[0] + 4)[0]


# ---- packet rings (section 10) --------------------------------------------------------------------------------------

PAGE = 4096


def expire(fd):
    """Makes a timer readable, for whoever polls it."""
    at_once = (ctypes.c_long * 4)(0, 0, 0, 1)  # struct itimerspec
    if ctypes.CDLL(None, use_errno=True).timerfd_settime(fd, 1, at_once, None) != 0:  # TFD_TIMER_ABSTIME
        raise OSError(ctypes.get_errno(), "timerfd_settime")


class Ring:
    """The reader of one packet ring."""

    def __init__(self, session, segment, entry, flow, fid):
        kind, _, slots, _ = segment.place(entry, flow, fid)
        assert kind == PACKETS
        self.session, self.segment, self.slot, self.flow, self.fid = session, segment, slots[0], flow, fid
        self.memory, self.kick_fd, self.answered, self.sleeps, self.kicks = None, -1, 0, 0, 0
        self.next = None  # end of the record that is being looked at
        self.map()

    def map(self):
        _, fields, fds = self.session.request(RING, [(1, self.flow), (2, self.fid)], wanted=RING_MEMORY, wanted_fds=None)
        assert len(fds) in (1, 2)
        self.size, self.generation = number(fields, 1), number(fields, 2)
        assert self.size >= PAGE and self.size & self.size - 1 == 0
        self.memory = mmap.mmap(fds[0], PAGE + self.size, mmap.MAP_SHARED)
        self.mine64, self.mine32 = memoryview(self.memory).cast("Q"), memoryview(self.memory).cast("I")
        os.close(fds[0])
        if self.kick_fd >= 0:
            os.close(self.kick_fd)
        self.kick_fd = fds[1] if len(fds) > 1 else -1
        if self.kick_fd >= 0:
            os.set_blocking(self.kick_fd, False)
        self.tail = self.mine64[0] if self.next is None else self.next
        self.mine64[0] = self.next = self.head = self.tail

    def close(self):
        if self.kick_fd >= 0:
            os.close(self.kick_fd)

    def bytes_at(self, position, count):
        start = position % self.size
        piece = self.memory[PAGE + start:PAGE + min(start + count, self.size)]
        return piece + self.memory[PAGE:PAGE + count - len(piece)]

    def make_room(self):
        wish = self.segment.u32[self.slot // 4 + 9]
        unread = self.segment.u64[self.slot // 8] - self.tail  # what is there now, not what was there when we last looked
        if wish not in (0, self.answered) and unread <= self.size // 2 and self.kick_fd >= 0:
            self.answered = wish
            self.kicks += 1
            expire(self.kick_fd)

    def packet(self):
        """(ts, ifindex, wlen, frame), or "empty", or "end"."""
        self.tail = self.mine64[0] = self.next
        while self.head <= self.tail:
            finished = self.segment.u32[self.slot // 4 + 8]
            self.head = self.segment.u64[self.slot // 8]
            if self.segment.u32[self.slot // 4 + 6] != self.generation:
                self.map()
                continue
            if self.head == self.tail:
                self.make_room()
                return "end" if finished else "empty"
            assert self.tail < self.head <= self.tail + self.size, "a head that makes no sense"
        self.make_room()
        ts, ifindex, caplen, wlen = struct.unpack("=QH2xII", self.bytes_at(self.tail, 20))
        self.next = self.tail + (20 + caplen + 7 & ~7)
        assert self.next <= self.head, "a record that goes on behind the head"
        return ts, ifindex, wlen, self.bytes_at(self.tail + 20, caplen)

    def announce(self):
        self.sleeps += 1
        self.mine32[2] = self.sleeps

    def news(self):
        return (self.segment.u64[self.slot // 8] != self.next or self.segment.u32[self.slot // 4 + 8] != 0 or
                self.segment.u32[self.slot // 4 + 6] != self.generation)


class Waker:
    """The descriptor of EventFd."""

    def __init__(self, session, flow):
        _, _, (self.fd,) = session.request(EVENT_FD, [(1, flow)], wanted_fds=1)
        os.set_blocking(self.fd, False)

    def wait(self, rings, timeout_s=60):
        """Until one of the rings of a trace has something new."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            pass
        for ring in rings:
            ring.announce()
            ring.make_room()
            ring.session.request(WAITING, [(1, ring.flow), (2, ring.fid)])
        if not any(ring.news() for ring in rings):
            assert select.select([self.fd], [], [], timeout_s)[0], "nobody has woken us"

    def close(self):
        os.close(self.fd)
