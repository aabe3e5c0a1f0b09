#!/usr/bin/env python3
"""Test: counters, statistics, buckets, distributions, bursts, samples and files of results are what a computation of their own
says, embedded and through mapid.

    numbers.py --mapi MAPI_NUMBERS [--mapid MAPID] [--shared] [--limit SECONDS] TRACE_OR_FOLDER...

The traces are read here, and everything is computed from what mapi_stdflib(3) promises, with whole numbers only; nothing is
shared with the engine. mapi_numbers.c asks the library. Without --mapid: embedded; with it: through a mapid of the test's own.
Without --shared some more traces are made: with packets on the boundaries of intervals, time that goes back, years of silence.

--shared: the folders are optional; exit 77 if there is none. --limit: no further trace is begun after so many seconds.
SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'daemon'))
from packets import ETHERNET, NS, ONE, RAW, SLL, Ends, Trace, made  # noqa: E402
from private_mapid import Mapid, environment  # noqa: E402

CONFIG = 'max_devices=1000\n[driver]\ndevice=any\ndriver=mapinicdrv.so\n'
TIMEOUT_S = 120
WORD = (1 << 64) - 1
# fine, middle, coarse, longest: so that a trace has no more than some ten thousand of the finest
INTERVALS = [('10ms', '100ms', '1s', '5s'), ('1s', '10s', '1m', '5m'), ('10m', '100m', '1000m', '5000m')]
FINE_MAX = 20000
UNITS = {'us': 1000, 'ms': 10 ** 6, 's': NS, 'm': 60 * NS}
BUCKET_EMPTY_MAX = 999  # empty intervals of one gap: the newest, of the 1000 that BUCKET keeps
FILE_EMPTY_MAX = 10000  # likewise of RES2FILE: as many lines


# ---- functions ----------------------------------------------------------------------------------------------------

def duration(text):
    """Nanoseconds."""
    number = text.rstrip('ums')
    return int(number) * UNITS[text[len(number):]]


def raw_time(text):
    """2^-32 s, rounded down; a plain number is itself."""
    return int(text) if text.isdigit() else duration(text) * ONE // NS


class Source:
    """A counter: what it has counted of the packets before the n-th of the trace."""

    def __init__(self, packets, reached, weight):
        self.before = [0] + list(itertools.accumulate(weight(p) if r else 0 for p, r in zip(packets, reached)))

    def upto(self, index):
        return self.before[index + 1]


class Latest:
    """PKTINFO: that of the latest packet before the n-th."""

    def __init__(self, packets, reached, what):
        self.before = [0]
        for packet, is_in in zip(packets, reached):
            self.before.append(what(packet) if is_in else self.before[-1])


def one(_):
    return 1


def wire(packet):
    return packet.wire


def stamp(packet):
    return packet.ts


def openings(packets, indices, interval_ns):
    """Packets that open an interval: (index, number of the first interval that is over, of the last one), from 1 on."""
    over = 0
    for index in indices:
        now = (packets[index].ns - packets[indices[0]].ns) // interval_ns
        if now > over:
            yield index, over + 1, now
            over = now


def stats(label, values):
    """(value, how often) in their order."""
    values = [v for v in values if v[1]]
    least, most = (min(v for v, _ in values), max(v for v, _ in values)) if values else (0, 0)
    return (f'{label} {sum(n for _, n in values)} {sum(v * n for v, n in values)} {sum(v * v * n for v, n in values)} '
            f'{float(least):.0f} {float(most):.0f}')


def periodic(packets, indices, interval, source):
    """Samples of a counter, which begins anew after each, or of what stands still."""
    last = 0
    for index, first, now in openings(packets, indices, duration(interval)):
        if isinstance(source, Source):
            yield source.before[index] - source.before[last], 1
            yield 0, now - first
            last = index
        else:
            yield source.before[index], now - first + 1


def dist(label, values, low, high, interval):
    low, high, interval = raw_time(low), raw_time(high), raw_time(interval)
    slots = -((low - high) // interval)
    counts = [0] * (slots + 1)
    for value in values:
        counts[0 if value <= low else slots if value > high else -((low - value) // interval)] += 1
    return f'{label} {low} {high} {slots} ' + ' '.join(str(count) for count in counts)


def bursts(label, packets, low, high, step, iftime, late, early, speed):
    """Times in units of 1/speed ns: a byte takes 8000 of them."""
    categories = [[0] * 5 for _ in range((high - low) // step + 2)]

    def category(size):
        return categories[0 if size < low else len(categories) - 1 if size >= low + (len(categories) - 2) * step
                          else (size - low) // step + 1]
    size = count = end = now = 0
    for packet in packets:
        now = max(now, packet.ns * speed)
        if count and not end + (iftime - early) * speed <= now <= end + (iftime + late) * speed:
            burst = category(size)
            burst[0] += size
            burst[1] += count
            burst[2] += 1
            gap = max(now - end, 0) // 8000
            category(gap)[3] += gap
            category(gap)[4] += 1
            size = count = 0
        size += packet.wire
        count += 1
        end = now + packet.wire * 8000
    return [f'{label} {k}: ' + ' '.join(str(n) for n in numbers) for k, numbers in enumerate(categories)]


def buckets(label, packets, indices, interval, source, reset):
    last = 0
    for index, first, now in openings(packets, indices, duration(interval)):
        value = source.before[index] - (source.before[last] if reset else 0)
        empty = 0 if reset else value
        last = index
        for k in [first, *range(max(first + 1, now - BUCKET_EMPTY_MAX + 1), now + 1)]:
            yield f'{label} {packets[indices[0]].ts + k * duration(interval) * ONE // NS} {value if k == first else empty}'


def seconds(ts):
    """Twelve decimals, halves to even."""
    scaled, rest = divmod(ts * 10 ** 12, ONE)
    scaled += rest > ONE // 2 or (rest == ONE // 2 and scaled % 2)
    return f'{scaled // 10 ** 12}.{scaled % 10 ** 12:012}'


def lines(name, header, packets, indices, interval, counter, size, ts):
    """A file of RES2FILE: a counter, a size and a time, the counter beginning anew after each line."""
    yield f'{name}: {header}'
    last = 0
    for index, first, now in openings(packets, indices, duration(interval)):
        yield f'{name}: {counter.before[index] - counter.before[last]} {size.before[index]} {seconds(ts.before[index])} '
        last = index
        for _ in range(min(now - first, FILE_EMPTY_MAX)):
            yield f'{name}: 0 0 0 '


# ---- everything that mapi_numbers.c asks -----------------------------------------------------------------------------

class Expected:
    def __init__(self, trace, intervals):
        self.trace, self.packets = trace, trace.packets
        self.fine, self.middle, self.coarse, self.longest = intervals
        self.every = range(len(self.packets))
        self.lines = []
        self.counts()
        self.startstop('startstop', NS, 3 * NS, 'packets', one)
        self.startstop('startstop_0', 0, 3 * NS // 2, 'bytes', wire)
        if trace.link in (ETHERNET, RAW, SLL):
            self.hashes()
        self.buckets()
        self.across()
        self.files()

    def say(self, label, *numbers):
        self.lines.append(' '.join([label, *(str(number) for number in numbers)]))

    def source(self, weight, keep=lambda packet: True):
        return Source(self.packets, [keep(packet) for packet in self.packets], weight)

    def latest(self, what, keep=lambda packet: True):
        return Latest(self.packets, [keep(packet) for packet in self.packets], what)

    def counts(self):
        packets = self.packets
        sizes = [packet.wire for packet in packets]
        gaps = [max(b.ts - a.ts, 0) for a, b in zip(packets[:1] + packets, packets)]
        self.say('packets', len(packets))
        self.say('bytes', sum(sizes))
        self.say('last_size', sizes[-1] if sizes else 0)
        self.say('last_gap', gaps[-1] if gaps else 0)
        self.say('last_ts', packets[-1].ts if packets else 0)
        for label, values in (('stats_size', sizes), ('stats_gap', gaps)):
            self.lines.append(stats(label, [(value, 1) for value in values]))
            self.lines.append(stats(label + '_but_first', [(value, 1) for value in values[1:]]))
        for label, interval, source in (('stats_size_coarse', self.coarse, self.latest(wire)),
                                        ('stats_bytes_fine', self.middle, self.source(wire)),
                                        ('stats_packets_coarse', self.coarse, self.source(one))):
            self.lines.append(stats(label, periodic(packets, self.every, interval, source)))
        self.lines.append(dist('dist_size', sizes, '0', '1500', '100'))
        self.lines.append(dist('dist_size_odd', sizes, '54', '1000', '37'))
        self.lines.append(dist('dist_gap', gaps, '0', '10ms', '1ms'))
        self.lines.append(dist('dist_gap_us', gaps, '5us', '1s', '500us'))
        for speed in (1, 10, 100):
            self.lines += bursts(f'burst_{speed}', packets, 0, 10000, 1000, 160000 // speed, 12304000 // speed,
                                 12304000 // speed, speed)
        self.lines += bursts('burst_odd', packets, 100, 3000, 333, 500, 4000000, 0, 7)

    def startstop(self, label, start_ns, stop_ns, what, weight):
        first = self.packets[0].ts if self.packets else 0
        start = first + start_ns * ONE // NS
        passed = [packet for packet in self.packets if start <= packet.ts <= start + stop_ns * ONE // NS]
        self.say(label, first, passed[0].ts if passed else 0, passed[-1].ts if passed else 0)
        self.say(f'{label}_{what}', sum(weight(packet) for packet in passed))

    def files(self):
        for name, interval in (('middle', self.middle), ('longest', self.longest)):
            self.lines += lines(name, 'TEST', self.packets, self.every, interval, self.source(one), self.latest(wire),
                                self.latest(stamp))
        self.lines.append('each: EACH')
        for index, packet in enumerate(self.packets):
            self.lines.append(f'each: {index + 1} {packet.wire} {seconds(packet.ts)} ')
        sizes = [packet.wire for packet in self.packets] or [0]
        squares = sum(size * size for size in sizes)
        self.lines += ['end: END', f'end: {sum(sizes)} {len(self.packets)}  {sum(sizes)}.000000 {squares}.000000 '
                       f'{min(sizes)}.000000 {max(sizes)}.000000 ']

    def hashes(self):
        ends = [(packet, Ends(self.trace.link, packet.data)) for packet in self.packets]
        found = [(packet, end, end.hash()) for packet, end in ends if end.found]
        half = [packet for packet, _, value in found if value < 512]
        self.say('hash_512_packets', len(half))
        self.say('hash_512_bytes', sum(packet.wire for packet in half))
        self.say('hash_all_packets', len(found))
        kept = [(packet, end) for packet, end, value in found if value < 300]
        for packet, end in kept:
            self.say('hash_samples', f'{end.source_ip:x}', f'{end.dest_ip:x}', end.sport, end.dport, end.sequence, end.flags,
                     end.protocol, packet.ts)
        self.say('hash_samples_packets', len(kept))

    def buckets(self):
        for label, interval, weight, reset in (('bucket_packets_coarse', self.coarse, one, True),
                                               ('bucket_packets_fine_total', self.fine, one, False),
                                               ('bucket_bytes_fine', self.fine, wire, True)):
            self.lines += buckets(label, self.packets, self.every, interval, self.source(weight), reset)
        total = self.source(wire)
        for index, packet in enumerate(self.packets):
            self.say('bucket_bytes_each', packet.ts, total.upto(index))

    def across(self):
        def large(packet):
            return packet.wire >= 100

        def odd(packet):
            return packet.wire % 2 == 1

        def both(packet):
            return large(packet) and odd(packet)

        def small(packet):
            return packet.wire <= 200
        of = {keep: [i for i in self.every if keep(self.packets[i])] for keep in (odd, both, small)}
        packets, odd_bytes = self.source(one, large), self.source(wire, odd)
        at = of[odd][-1] if of[odd] else None
        self.say('binop_add_across', 0 if at is None else packets.upto(at) + odd_bytes.upto(at))
        # A packet goes through the flows in their order: the first one reads what the others have counted before it.
        at = of[small][-1] if of[small] else None
        self.say('binop_sub_across', 0 if at is None else odd_bytes.before[at] - packets.before[at] & WORD)
        self.lines.append(stats('stats_across', [(odd_bytes.before[i], 1) for i in of[small]]))
        self.lines += buckets('bucket_across', self.packets, of[small], self.coarse, packets, True)
        self.lines += lines('across', 'ACROSS', self.packets, of[small], self.middle, odd_bytes, self.latest(wire, small),
                            self.latest(stamp, large))
        at = of[both][-1] if of[both] else None
        first, second = (0, 0) if at is None else (packets.upto(at), self.source(wire, both).upto(at))
        self.say('binop_add_one', first + second)
        self.say('binop_sub_one', first - second & WORD)
        self.lines += buckets('bucket_behind', self.packets, of[both], self.middle, packets, True)
        self.lines.append(stats('stats_behind', periodic(self.packets, of[both], self.middle, packets)))


# ---- comparing ----------------------------------------------------------------------------------------------------

def answers(program, trace, intervals, env):
    with tempfile.TemporaryDirectory(prefix='mapi-numbers-') as folder:
        done = subprocess.run([program, str(trace), folder, *intervals], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=TIMEOUT_S, check=False, encoding='utf-8', errors='backslashreplace')
        if done.returncode != 0:
            raise ValueError(f'exit status {done.returncode}: {done.stderr.strip()}')
        got = done.stdout.splitlines()
        for name in sorted(os.listdir(folder)):
            got += [f'{name}: {line}' for line in (pathlib.Path(folder) / name).read_text(encoding='utf-8').splitlines()]
    return got


def by_label(text):
    """Lines of each label in their order."""
    result = {}
    for line in text:
        result.setdefault(line.split(' ', 1)[0], []).append(line)
    return result


def same(want, got):
    if want == got:
        return True
    # A sum of squares in a long double is exact as far as its 64 bits go; then each sample may round.
    want, got = want.split(), got.split()
    if not want[0].startswith('stats_') or len(want) != 6 or len(got) != 6 or int(want[3]) <= WORD:
        return False
    return want[:3] + want[4:] == got[:3] + got[4:] and \
        abs(int(want[3]) - int(got[3])) << 63 <= int(want[3]) * 2 * int(want[1])


def differences(want, got):
    want, got = by_label(want), by_label(got)
    hashes = 'hash_all_packets' in want  # or it is a link type whose headers are not read here
    for label in sorted(want.keys() | got.keys()):
        if label.startswith('hash_') and not hashes:
            continue
        pairs = list(itertools.zip_longest(want.get(label, []), got.get(label, []), fillvalue='(nothing)'))
        wrong = [(k, w, g) for k, (w, g) in enumerate(pairs) if not same(w, g)]
        if wrong:
            k, w, g = wrong[0]
            yield f'{label}: {len(wrong)} of {len(pairs)} lines, the first is number {k + 1}:\n    want {w}\n    got  {g}'


def traces_of(arguments):
    for argument in arguments:
        path = pathlib.Path(argument)
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix == '.pcap')
        elif path.exists():
            yield path


def compare(program, path, intervals, env):
    """Lines compared, differences. Raises ValueError if the trace is not for us."""
    trace = Trace(path)
    times = [packet.ns for packet in trace.packets] or [0]
    lasts = max(times) - times[0]
    intervals = intervals or next((i for i in INTERVALS if lasts // duration(i[0]) <= FINE_MAX), INTERVALS[-1])
    want = Expected(trace, intervals).lines
    try:
        return len(want), list(differences(want, answers(program, path, intervals, env)))
    except ValueError as why:
        return len(want), [str(why)]


def run(args, traces, env):
    begun = time.monotonic()
    compared = total = wrong = 0
    for path, intervals in traces:
        if args.limit and time.monotonic() - begun > args.limit:
            print(f'{path.name} and those behind it: not today, {args.limit} s are over')
            break
        try:
            count, found = compare(args.mapi, path, intervals, env)
        except ValueError as why:
            print(f'{path.name}: left out: {why}')
            continue
        compared += 1
        total += count
        wrong += len(found)
        print(f'{path.name}: {count} lines, {len(found)} differences', flush=True)
        for text in found:
            print(f'DIFFERENT {path.name}: {text}')
    print(f'{compared} traces, {total} lines, {wrong} differences')
    return 1 if wrong or not compared else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--mapi', required=True)
    parser.add_argument('--mapid')
    parser.add_argument('--shared', action='store_true')
    parser.add_argument('--limit', type=int)
    parser.add_argument('traces', nargs='+')
    args = parser.parse_args()
    args.mapi = os.path.abspath(args.mapi)
    traces = [(path.resolve(), None) for path in traces_of(args.traces)]
    if not traces:
        print('skipped: no traces in', *args.traces)
        return 77 if args.shared else 1
    with tempfile.TemporaryDirectory(prefix='mapi-numbers-') as folder:
        return run_all(args, traces + ([] if args.shared else list(made(folder))))


def run_all(args, traces):
    if not args.mapid:
        return run(args, traces, environment(MAPI_BACKEND='embedded'))
    with Mapid(args.mapid, CONFIG) as mapid:
        mapid.start()
        status = run(args, traces, mapid.client())
        if mapid.stop() != 0 or mapid.complaints():
            print('mapid complains:', *mapid.complaints(), sep='\n')
            return 1
        return status


if __name__ == '__main__':
    sys.exit(main())
