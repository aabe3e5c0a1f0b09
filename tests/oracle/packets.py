"""Traces for numbers.py: read from pcap files, headers of TCP and UDP decoded, and some made.

SPDX-License-Identifier: BSD-2-Clause
"""

import itertools
import pathlib
import random
import struct

NS = 10 ** 9
ONE = 1 << 32


# ---- the trace ----------------------------------------------------------------------------------------------------

class Packet:
    def __init__(self, ns, wire, data):
        self.ns, self.wire, self.data = ns, wire, data
        self.ts = ns * ONE // NS


class Trace:
    """A pcap file. Raises ValueError if it is something else."""

    def __init__(self, path):
        raw = path.read_bytes()
        magic = raw[:4]
        kinds = {b'\xd4\xc3\xb2\xa1': ('<', 1000), b'\xa1\xb2\xc3\xd4': ('>', 1000),
                 b'\x4d\x3c\xb2\xa1': ('<', 1), b'\xa1\xb2\x3c\x4d': ('>', 1)}
        if magic not in kinds or len(raw) < 24:
            raise ValueError('no pcap file')
        order, unit = kinds[magic]
        self.link = struct.unpack_from(order + 'I', raw, 20)[0] & 0xffff
        self.packets = []
        at = 24
        while at + 16 <= len(raw):
            sec, part, cap, wire = struct.unpack_from(order + 'IIII', raw, at)
            if at + 16 + cap > len(raw):
                break
            if part * unit >= NS or cap > 262144:
                raise ValueError('a record that is not as it should be')
            self.packets.append(Packet(sec * NS + part * unit, wire, raw[at + 16:at + 16 + cap]))
            at += 16 + cap


# ---- addresses and ports ------------------------------------------------------------------------------------------

ETHERNET, RAW, SLL = 1, 101, 113


def network_layer(link, data):
    """(protocol number of Ethernet, offset), or None."""
    if link == RAW:
        return ({4: 0x800, 6: 0x86dd}.get(data[0] >> 4, 0), 0) if data else None
    at = {ETHERNET: 12, SLL: 14}[link]
    while at + 2 <= len(data):
        kind = int.from_bytes(data[at:at + 2], 'big')
        at += 2
        if kind in (0x8100, 0x88a8, 0x9100):
            at += 2
        elif kind in (0x8847, 0x8848):
            while at + 4 <= len(data) and not data[at + 2] & 1:
                at += 4
            at += 4
            return ({4: 0x800, 6: 0x86dd}.get(data[at] >> 4, 0), at) if at < len(data) else None
        elif kind == 0x8864:
            if at + 8 > len(data):
                return None
            return ({0x21: 0x800, 0x57: 0x86dd}.get(int.from_bytes(data[at + 6:at + 8], 'big'), 0), at + 8)
        elif kind < 1536 and link == ETHERNET:
            if data[at:at + 6] != b'\xaa\xaa\x03\0\0\0':
                return None
            at += 6
        else:
            return kind, at
    return None


def words(data):
    """Little-endian words of 4 bytes, xored."""
    result = 0
    for at in range(0, len(data), 4):
        result ^= int.from_bytes(data[at:at + 4], 'little')
    return result


class Ends:
    """Who sends what to whom, of a TCP or UDP packet; found: whether it is one."""

    def __init__(self, link, data):
        self.found = False
        found = network_layer(link, data)
        if found is None:
            return
        kind, at = found
        if kind == 0x800:
            self.ipv4(data, at)
        elif kind == 0x86dd:
            self.ipv6(data, at)

    def ipv4(self, data, at):
        if at + 20 > len(data) or data[at] >> 4 != 4 or data[at] & 15 < 5:
            return
        if int.from_bytes(data[at + 6:at + 8], 'big') & 0x1fff:
            return
        self.source, self.dest = words(data[at + 12:at + 16]), words(data[at + 16:at + 20])
        self.source_ip, self.dest_ip = self.source, self.dest
        self.transport(data, at + 4 * (data[at] & 15), data[at + 9])

    def ipv6(self, data, at):
        if at + 40 > len(data) or data[at] >> 4 != 6:
            return
        self.source, self.dest = words(data[at + 8:at + 24]), words(data[at + 24:at + 40])
        self.source_ip = self.dest_ip = 0
        protocol, at = data[at + 6], at + 40
        while protocol in (0, 43, 44, 51, 60):
            if at + 8 > len(data):
                return
            if protocol == 44:
                if int.from_bytes(data[at + 2:at + 4], 'big') & 0xfff8:
                    return
                length = 8
            else:
                length = 4 * (data[at + 1] + 2) if protocol == 51 else 8 * (data[at + 1] + 1)
            protocol, at = data[at], at + length
        self.transport(data, at, protocol)

    def transport(self, data, at, protocol):
        if protocol not in (6, 17) or at + 4 > len(data):
            return
        self.found = True
        self.protocol = protocol
        self.sport, self.dport = struct.unpack_from('>HH', data, at)
        self.ports = words(data[at:at + 4])
        self.sequence = self.flags = 0
        if protocol == 6:
            if at + 8 <= len(data):
                self.sequence = int.from_bytes(data[at + 4:at + 8], 'big')
            if at + 14 <= len(data):
                bits = data[at + 13]  # FIN 1, SYN 2, RST 4, PSH 8, ACK 16
                self.flags = (bool(bits & 2) * 1 | bool(bits & 16) * 2 | bool(bits & 4) * 4 | bool(bits & 1) * 8 |
                              bool(bits & 8) * 16)

    def hash(self):
        """Jenkins' mix of 1996: each of the three words in turn."""
        value = [(self.source + 0x9e3779b9) & 0xffffffff, ((self.dest ^ self.protocol) + 0x9e3779b9) & 0xffffffff,
                 (self.ports + 6564987) & 0xffffffff]
        for number, shift in enumerate((13, -8, 13, 12, -16, 5, 3, -10, 15)):
            one, two, three = number % 3, (number + 1) % 3, (number + 2) % 3
            moved = value[three] << -shift if shift < 0 else value[three] >> shift
            value[one] = (value[one] - value[two] - value[three] & 0xffffffff) ^ (moved & 0xffffffff)
        return value[2] % 1024


# ---- traces of our own -----------------------------------------------------------------------------------------------

def frame(rng):
    """A frame of TCP or UDP with any addresses, and its length on the wire."""
    tcp = rng.random() < 0.5
    payload = rng.randrange(0, 1400) if rng.random() < 0.7 else rng.randrange(0, 60)
    transport = struct.pack('>HHIIHHHH', rng.randrange(65536), rng.choice((53, 80, 443)), rng.randrange(ONE), 0,
                            0x5000 | rng.randrange(64), 1024, 0, 0)
    network = struct.pack('>BBHHHBBHII', 0x45, 0, 40 + payload, 0, 0, 64, 6 if tcp else 17, 0, rng.randrange(ONE),
                          rng.randrange(ONE))
    data = bytes(12) + (b'\x81\0\0\x64' if rng.random() < 0.2 else b'') + b'\x08\0' + network + transport
    return data, len(data) + payload


def near_boundaries(rng, interval_ns, unit):
    """Times around multiples of an interval, some of which are left out."""
    return sorted(k * interval_ns + rng.choice((-1, 0, 0, 1)) * unit for k in range(1, 700) if rng.random() < 0.6
                  for _ in range(rng.randrange(1, 4)))


def burst_ends(rng):
    """(time, length on the wire) of packets that are just early or late enough for the bursts that mapi_numbers.c asks for."""
    now = 0
    for number in range(600):
        length = 7 * rng.randrange(10, 200)  # 7 Mbit/s: whole nanoseconds
        yield now, length
        if number % 3 == 0:
            now += length * 8000 + rng.choice((12304000, 12463999, 12464000, 12464001, 160000))
        else:
            now += length * 8000 // 7 + rng.choice((0, 499, 500, 501, 2000000, 4000499, 4000500, 4000501, 10 ** 7))


def made(folder):
    """(path, intervals) of each."""
    rng = random.Random(4)
    year = 31556952 * NS
    usual = ('10ms', '100ms', '1s', '5s')
    odd = ('7ms', '33ms', '333ms', '3s')
    back = list(itertools.accumulate(rng.choice((-1500000, -1, 0, 1, 100, 40000, 900000)) for _ in range(2000)))
    traces = [
        ('boundaries', 1000, usual, near_boundaries(rng, 10 ** 7, 1000)),
        ('boundaries-ns', 1, usual, near_boundaries(rng, 10 ** 7, 1)),
        ('boundaries-odd', 1000, odd, near_boundaries(rng, 7 * 10 ** 6, 1000)),
        ('boundaries-odd-ns', 1, odd, near_boundaries(rng, 111 * 10 ** 6, 1)),
        ('back', 1000, usual, [t * 1000 for t in back]),
        ('silence', 1000, usual, [0, 10, 10 ** 10 + 10 ** 7, 3 * 10 ** 10, 3 * 10 ** 10 + 1000, 10 ** 11]),
        ('years', 1000, ('1us', '10us', '1ms', '1s'), [0, 1000, 5 * year, 5 * year + 1000, 5 * year + 3000, 25 * year]),
        ('years-back', 1, ('3us', '7us', '1m', '100m'), [20 * year, 3 * year, 3, 21 * year + 5, year, 21 * year + 10 ** 5]),
        ('bursts', 1, usual, list(burst_ends(rng))),
        ('start-stop', 1, usual, [k * NS // 2 + d for k in range(12) for d in (-1, 0, 1)][1:]),
        ('one', 1, usual, [7]),
    ]
    for name, unit, intervals, times in traces:
        path = pathlib.Path(folder) / f'{name}.pcap'
        records = [struct.pack('<IHHIIII', 0xa1b2c3d4 if unit == 1000 else 0xa1b23c4d, 2, 4, 0, 0, 65535, ETHERNET)]
        for at in times:
            data, length = frame(rng)
            ns, length = at if isinstance(at, tuple) else (at, length)
            data = data[:length]
            sec, part = divmod(1234567890 * NS + 123457000 + ns, NS)
            records += [struct.pack('<IIII', sec, part // unit, len(data), length), data]
        path.write_bytes(b''.join(records))
        yield path, intervals
