#!/usr/bin/env python3
"""Test: the tutorial's programs compile as printed, and those whose functions exist run on a trace.

    run.py PROGRAM --cc COMPILER... --include FOLDER --libmapi LIBRARY --listings FOLDER --trace DEMO_PCAP

PROGRAM: compile (all of them), or one of packet_count, link_utilization, worm_detection, worm_detection_stdin and
list_libraries. The expected numbers come from a reader of pcap files in this script.
SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading

TIMEOUT_S = 60  # nothing waits for it, but a program that hangs

# tests/daemon/with_mapid.py runs everything a second time, served by a mapid.
SERVED = ({'MAPI_BACKEND': 'local', 'MAPI_SOCKET': os.environ['TEST_MAPID_SOCKET']}
          if 'TEST_MAPID_SOCKET' in os.environ else {})

# What surrounds the two listings that are not whole programs.
WHOLE = {
    'list_libraries': '#include <stdio.h>\n#include <mapi.h>\nint main() {\n%s   return 0;\n}\n',
    'print_IP_pkt': '#include <stdio.h>\n#include <net/ethernet.h>\n#include <netinet/ip.h>\n#include <arpa/inet.h>\n'
                    '#include <mapi.h>\n%s',
}
NEEDS = {'worm_detection': ['print_IP_pkt'], 'anonymization': ['print_IP_pkt']}
PROGRAMS = ['packet_count', 'link_utilization', 'worm_detection', 'dimapi', 'anonymization', 'list_libraries']

FUNCTIONS = ['BPF_FILTER(s)', 'PKT_COUNTER()', 'BYTE_COUNTER()', 'STR_SEARCH(sii)', 'TO_BUFFER(i)', 'SAMPLE(ii)',
             'HASH(i)', 'PKTINFO(i)', 'GAP()', 'TO_FILE(iwl)', 'STATS(rfs)']

failures = []


def expect(what, got, want):
    if got != want:
        failures.append(what)
        print(f'FAILED {what}: {got!r} instead of {want!r}')
    else:
        print(f'ok {what}: {got!r}'[:150])


# ---- the trace, read independently ---------------------------------------------------------------------------

def packets(path):
    """(frame, bytes on the wire) of a little-endian pcap file."""
    data = path.read_bytes()
    at = 24
    while at < len(data):
        caplen, wirelen = struct.unpack_from('<II', data, at + 8)
        yield data[at + 16:at + 16 + caplen], wirelen
        at += 16 + caplen


def transport(frame):
    """(IP protocol, its header and what follows) of an untagged frame, or (None, b'')."""
    ethertype = frame[12:14]
    if ethertype == b'\x08\x00' and struct.unpack_from('>H', frame, 20)[0] & 0x1fff == 0:
        return frame[23], frame[14 + 4 * (frame[14] & 15):]
    if ethertype == b'\x86\xdd':
        return frame[20], frame[54:]
    return None, b''


def to_web_server(frame):
    """tcp and dst port 80"""
    proto, rest = transport(frame)
    return proto == 6 and rest[2:4] == struct.pack('>H', 80)


def has_host(frame, address, destination):
    """src host, dst host: of IPv4, and of ARP as tcpdump has it"""
    at = {b'\x08\x00': 30 if destination else 26, b'\x08\x06': 38 if destination else 28}.get(frame[12:14])
    return at is not None and frame[at:at + 4] == address


def is_worm(frame):
    proto, rest = transport(frame)
    return (frame[12:14] == b'\x08\x00' and proto == 17 and rest[:4] == struct.pack('>HH', 2002, 80)
            and frame[30:33] == bytes([139, 91, 23]) and b'\0\0E\0\0E\0\0@\0' in frame[:100])


def as_printed(frame):
    """What print_IP_pkt() prints."""
    def mac(at):
        return ':'.join(f'{byte:02X}' for byte in frame[at:at + 6])

    def address(at):
        return '.'.join(str(byte) for byte in frame[at:at + 4])
    return f'\nSlapper worm packet!\n{mac(6)} -> {mac(0)}\n{address(26)} -> {address(30)}\n'


# ---- compiling and running -------------------------------------------------------------------------------------

class Runner:
    def __init__(self, args, folder):
        self.args = args
        self.folder = pathlib.Path(folder)

    def compile(self, program):
        sources = []
        for name in [program] + NEEDS.get(program, []):
            text = (pathlib.Path(self.args.listings) / f'{name}.listing').read_text(encoding='ascii')
            source = self.folder / f'{name}.c'
            source.write_text(WHOLE.get(name, '%s').replace('%s', text), encoding='ascii')
            sources.append(source)
        binary = self.folder / program
        libraries = pathlib.Path(self.args.libmapi).resolve().parent
        done = subprocess.run([*self.args.cc, '-Wall', *sources, '-o', binary, f'-I{self.args.include}',
                               f'-L{libraries}', '-lmapi', f'-Wl,-rpath,{libraries}'],
                              capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        for line in done.stderr.splitlines():
            if re.search(r'\b(warning|error)\b', line):
                print(f'{program}: {line.replace(str(self.folder) + "/", "")}')
        expect(f'{program} compiles and links', done.returncode, 0)
        expect(f'{program} does not make mapi.h complain', 'mapi.h' in done.stderr, False)
        return binary if done.returncode == 0 else None

    def environment(self, device):
        env = {key: value for key, value in os.environ.items() if not key.startswith('MAPI_')}
        env['MAPI_BACKEND'] = 'embedded'
        env.update(SERVED)
        if device is not None:
            env['MAPI_DEVICE_MAP'] = f'eth0={device}'
        return env

    def run(self, binary, device=None):
        done = subprocess.run([binary], env=self.environment(device), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=TIMEOUT_S)
        expect('standard error', done.stderr, '')
        expect('exit status', done.returncode, 0)
        return done.stdout

    def run_until(self, binary, device, enough, end, stdin=subprocess.DEVNULL):
        """Runs it on a terminal, so that it does not keep its output back, until enough(output); then signals it."""
        master, slave = pty.openpty()
        output = ''
        with tempfile.TemporaryFile('w+') as errors:
            with subprocess.Popen([binary], env=self.environment(device), stdin=stdin, stdout=slave,
                                  stderr=errors) as process:
                os.close(slave)
                try:
                    while not enough(output):
                        if not select.select([master], [], [], TIMEOUT_S)[0]:
                            break
                        output += os.read(master, 65536).decode('ascii', 'replace').replace('\r\n', '\n')
                except OSError:
                    pass  # it has ended
                process.send_signal(end)
                try:
                    status = process.wait(TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    status = 'hangs after the signal'
            errors.seek(0)
            expect('standard error', errors.read(), '')
        os.close(master)
        expect(f'exit status after {end.name}', status, 0)
        return output


# ---- the programs ----------------------------------------------------------------------------------------------

def run_packet_count(runner, binary, trace):
    count = sum(to_web_server(frame) for frame, _ in packets(trace))
    expect('output', runner.run(binary, trace), f'pkts: {count}\n')


def run_link_utilization(runner, binary, trace):
    host = bytes([139, 91, 145, 84])
    report = re.compile(r'incoming: \d+\.\d\d Mbit/s \((\d+) bytes\)\noutgoing: \d+\.\d\d Mbit/s \((\d+) bytes\)\n\n')
    output = runner.run_until(binary, trace, lambda text: len(report.findall(text)) >= 2, signal.SIGINT)
    reports = report.findall(output)
    expect('reports', len(reports) >= 2, True)
    for column, name in enumerate(['incoming', 'outgoing']):
        want = sum(wirelen for frame, wirelen in packets(trace) if has_host(frame, host, name == 'incoming'))
        expect(f'{name} bytes', sum(int(line[column]) for line in reports), want)


def run_worm_detection(runner, binary, trace, from_stdin=False):
    """The tutorial's loop does not end with a trace, so the device is a pipe that stays open."""
    want = ''.join(as_printed(frame) for frame, _ in packets(trace) if is_worm(frame))
    finished = threading.Event()
    fifo = runner.folder / 'fifo'
    os.mkfifo(fifo)

    # opened for both directions, so that there is a writer before the program looks for one
    writer = os.open(fifo, os.O_RDWR)

    def feed():
        with open(writer, 'wb') as pipe:
            pipe.write(trace.read_bytes())
            pipe.flush()
            finished.wait(2 * TIMEOUT_S)
    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    stdin = open(fifo, 'rb') if from_stdin else subprocess.DEVNULL
    output = runner.run_until(binary, '-' if from_stdin else fifo, lambda text: len(text) >= len(want), signal.SIGTERM,
                              stdin)
    finished.set()
    expect('worms', want.count('worm'), 6)
    expect('output', output, want)


def run_list_libraries(runner, binary, _):
    lines = runner.run(binary).split('\n')
    expect('heading', lines[0], 'ID\tName\t# functions')
    library = re.fullmatch(r'0\tstdflib\t(\d+)', lines[1])
    expect('first library', bool(library), True)
    if library:
        functions = lines[2:2 + int(library.group(1))]
        expect('functions', all(line.startswith('\t\t') for line in functions), True)
        expect('missing functions', [f for f in FUNCTIONS if '\t\t' + f not in functions], [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--cc', nargs='+', required=True)
    parser.add_argument('--include', required=True)
    parser.add_argument('--libmapi', required=True)
    parser.add_argument('--listings', required=True)
    parser.add_argument('--trace', required=True)
    # compilers have options, too, so the list of words ends at the next option of ours
    argv = sys.argv[1:]
    first = argv.index('--cc') + 1
    last = argv.index('--include')
    args = parser.parse_args(argv[:first] + ['cc'] + argv[last:])
    args.cc = argv[first:last]
    trace = pathlib.Path(args.trace)
    with tempfile.TemporaryDirectory(prefix='mapi-tutorial-') as folder:
        runner = Runner(args, folder)
        if args.program == 'compile':
            for program in PROGRAMS:
                runner.compile(program)
        else:
            program = args.program.removesuffix('_stdin')
            binary = runner.compile(program)
            if binary and program != args.program:
                run_worm_detection(runner, binary, trace, from_stdin=True)
            elif binary:
                globals()[f'run_{program}'](runner, binary, trace)
    print(f'{len(failures)} failures')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
