#!/usr/bin/env python3
"""Test: the example programs say the right thing about the bundled traces.

    run.py EXAMPLE BINARY TRACES_FOLDER

The numbers of demo.pcap are those that the oracle and tcpdump give; demo's whole table is in demo.expected.
SPDX-License-Identifier: BSD-2-Clause
"""

import difflib
import os
import pathlib
import re
import subprocess
import sys

TIMEOUT_S = 60  # nothing waits for it, but a program that hangs

# tests/daemon/with_mapid.py runs everything a second time, served by a mapid.
SERVED = ({'MAPI_BACKEND': 'local', 'MAPI_SOCKET': os.environ['TEST_MAPID_SOCKET']}
          if 'TEST_MAPID_SOCKET' in os.environ else {})

failures = []


def expect(what, got, want):
    if got == want:
        print('ok', what)
        return
    failures.append(what)
    print('FAILED', what)
    sys.stdout.writelines(difflib.unified_diff(str(want).splitlines(True), str(got).splitlines(True), 'wanted', 'got'))
    print()


def run(*command):
    env = {key: value for key, value in os.environ.items() if not key.startswith('MAPI_')}
    env['MAPI_BACKEND'] = 'embedded'
    env.update(SERVED)
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=TIMEOUT_S)


def expect_output(what, command, output):
    done = run(*command)
    expect(f'{what}: output', done.stdout, output)
    expect(f'{what}: errors', done.stderr, '')
    expect(f'{what}: status', done.returncode, 0)


def expect_failure(what, command, code):
    """A clear sentence with the error's number on standard error, nothing on standard output, status not 0."""
    done = run(*command)
    expect(f'{what}: output', done.stdout, '')
    expect(f'{what}: says so', bool(re.search(rf': .+ \(error {code}\)\n$', done.stderr)), True)
    expect(f'{what}: status', done.returncode, 1)


def packet_count(binary, traces):
    expect_output('packet_count', [binary, traces / 'demo.pcap'], 'pkts: 300\n')
    expect_output('packet_count', [binary, traces / 'none.pcap'], 'pkts: 0\n')
    expect_failure('no such trace', [binary, traces / 'absent'], '(3200|6155)')
    expect_failure('not a trace', [binary, traces / 'README.md'], '(3200|6155)')


def link_utilization(binary, traces):
    expect_output('link_utilization', [binary, traces / 'demo.pcap'],
                  'incoming: 1.11 Mbit/s (138646 bytes)\noutgoing: 0.71 Mbit/s (89273 bytes)\n\n')
    expect_failure('not a host', [binary, traces / 'demo.pcap', '1.2.3.4.5'], 1025)


def worm_detection(binary, traces):
    done = run(binary, traces / 'demo.pcap')
    expect('status', done.returncode, 0)
    expect('worms', re.findall(r'\nSlapper worm packet!\n(?:[0-9A-F:]{17} -> [0-9A-F:]{17})\n(.*)\n', done.stdout),
           ['10.1.0.196 -> 139.91.23.1', '10.1.5.93 -> 139.91.23.2', '10.1.0.120 -> 139.91.23.3',
            '10.1.3.246 -> 139.91.23.5', '10.1.3.184 -> 139.91.23.6', '139.91.145.84 -> 139.91.23.7'])
    done = run(binary, traces / 'demo.pcap', '2')
    expect('two worms and no more', done.stdout.count('Slapper'), 2)
    expect('status', done.returncode, 0)


def list_libraries(binary, _):
    done = run(binary)
    expect('status', done.returncode, 0)
    expect('stdflib', bool(re.match(r'ID\tName\t# functions\n0\tstdflib\t\d+\n\t\tBPF_FILTER\(s\)\t', done.stdout)), True)


def without_time(text):
    """demo's table without the lines that tell the file's name and how fast the machine is."""
    return '\n'.join(line for line in text.split('\n')[1:] if not line.startswith('Read once'))


def demo(binary, traces):
    done = run(binary, traces / 'demo.pcap')
    expected = pathlib.Path(__file__).with_name('demo.expected').read_text(encoding='ascii')
    expect('demo.pcap', without_time(done.stdout), expected)
    expect('demo.pcap: errors', done.stderr, '')
    expect('demo.pcap: status', done.returncode, 0)
    for trace in sorted(p for p in traces.iterdir() if p.suffix in ('.pcap', '.pcapng')):
        done = run(binary, trace)
        cut = trace.name == 'few-cut.pcap'
        expect(f'{trace.name}: status', done.returncode, 1 if cut else 0)
        expect(f'{trace.name}: says that it is damaged', 'damaged' in done.stdout, cut)
        expect(f'{trace.name}: has its line', bool(re.search(r'\nRead once for \d+ flows in ', done.stdout)), True)
    expect_failure('no such trace', [binary, traces / 'absent'], 6155)
    expect_failure('not a trace', [binary, traces / 'README.md'], 6155)


def flow_table(binary, traces):
    # A program of its own sees no flows of others; the daemon's tests look at it with flows.
    device = f"{'device':<14} {'seen':>12} {'delivered':>12} {'filtered':>12} {'dropped':>9}\n"
    flow = f"\n{'flow':<14} {'seen':>12} {'delivered':>12} {'filtered':>12} {'dropped':>9}  functions\n"
    expect_output('flow_table', [binary], device + flow)


def main():
    name, binary, traces = sys.argv[1:]
    globals()[name](binary, pathlib.Path(traces))
    print(f'{len(failures)} failures')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
