#!/usr/bin/env python3
"""Test: every filter gives the same counts on every trace, whoever counts.

    compare.py --mapi MAPI_COUNT --oracle ORACLE --filters FILE [--shared] TRACE_OR_FOLDER...

Three answers are compared for each filter and trace: libmapi's, with all filters as flows of one device; that of the
oracle, which shares no code with us; and that of `tcpdump --count`, if it is installed. On the folder's first trace
each filter is also asked alone. A filter that the oracle refuses for a trace must be refused by us, too.

--shared: the folders are optional; exit 77 if there is none.
SPDX-License-Identifier: BSD-2-Clause
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

TIMEOUT_S = 120


def run(*command):
    """Exit status, lines of output, errors."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=TIMEOUT_S, check=False, text=True, errors='replace')
    return done.returncode, done.stdout.splitlines(), done.stderr.strip()


def traces_of(arguments):
    for argument in arguments:
        path = pathlib.Path(argument)
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix in ('.pcap', '.pcapng'))
        elif path.exists():
            yield path


def answer(line):
    """A line of oracle or mapi_count: (packets, wire bytes), or 'refused'."""
    if line.startswith('refused'):
        return 'refused'
    packets, wire, _ = (int(word) for word in line.split())
    return packets, wire


def tcpdump_packets(trace, expression):
    """Packets, or the text of a refusal."""
    status, out, err = run('tcpdump', '-n', '-r', trace, '--count', *([expression] if expression else []))
    for line in out:
        found = re.fullmatch(r'(\d+) packets?', line)
        if found:
            return int(found.group(1))
    reasons = [line for line in err.splitlines() if line.startswith('tcpdump:')]
    return reasons[-1] if reasons else f'tcpdump: exit status {status}'


class Comparison:
    def __init__(self, args):
        self.args = args
        self.filters = pathlib.Path(args.filters).read_text(encoding='ascii').split('\n')[:-1]
        self.tcpdump = shutil.which('tcpdump')
        self.compared = self.differences = 0
        self.notes = []

    def differ(self, trace, expression, text):
        self.differences += 1
        print(f'DIFFERENT {trace.name}: {expression or "(all)"}: {text}')

    def answers(self, trace, *command):
        """One answer for each filter, and how the trace ended; None if the program failed."""
        status, out, err = run(*command, trace, self.args.filters)
        if status != 0 or len(out) != len(self.filters) + 1:
            self.differ(trace, ' '.join(str(c) for c in command), f'exit status {status}: {err}')
            return None, ''
        return [answer(line) for line in out[:-1]], out[-1]

    def refused_by_both(self, trace):
        """The oracle cannot read the trace: then we must not, either."""
        status, _, err = run(self.args.oracle, trace, self.args.filters)
        if status == 0:
            return False
        status, _, ours = run(self.args.mapi, trace, self.args.filters)
        if status == 0:
            self.differ(trace, '', f'read by us, but {err}')
        else:
            print(f'{trace.name}: refused by all: {ours}')
        return True

    def compare(self, trace, alone):
        if self.refused_by_both(trace):
            return
        expected, end = self.answers(trace, self.args.oracle)
        ours, _ = self.answers(trace, self.args.mapi)
        single, _ = self.answers(trace, self.args.mapi, '-1') if alone else (ours, '')
        if expected is None or ours is None or single is None:
            return
        for expression, want, got, one in zip(self.filters, expected, ours, single):
            self.compared += 1
            if got != want:
                self.differ(trace, expression, f'libmapi {got}, oracle {want}')
            if one != want:
                self.differ(trace, expression, f'libmapi, flow alone {one}, oracle {want}')
            if self.tcpdump:
                self.compare_tcpdump(trace, expression, want, end)
        print(f'{trace.name}: {len(self.filters)} filters, {expected[0][0]} packets, {end}')

    def compare_tcpdump(self, trace, expression, want, end):
        got = tcpdump_packets(trace, expression)
        if isinstance(got, int) and want != 'refused':
            if got != want[0]:
                self.differ(trace, expression, f'tcpdump {got} packets, oracle {want[0]}')
        elif isinstance(got, int):
            self.differ(trace, expression, f'tcpdump counts {got} packets, the oracle refuses the filter')
        elif want != 'refused':
            # tcpdump gives no count at all for a trace that it dislikes
            self.notes.append(f'{trace.name}: {expression or "(all)"}: {got} ({end})')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--mapi', required=True)
    parser.add_argument('--oracle', required=True)
    parser.add_argument('--filters', required=True)
    parser.add_argument('--shared', action='store_true')
    parser.add_argument('traces', nargs='+')
    args = parser.parse_args()
    comparison = Comparison(args)
    traces = list(traces_of(args.traces))
    if not traces:
        print('skipped: no traces in', *args.traces)
        return 77 if args.shared else 1
    for number, trace in enumerate(traces):
        comparison.compare(trace, alone=number == 0)
    for note in comparison.notes:
        print('tcpdump does not answer:', note)
    if not comparison.tcpdump:
        print('tcpdump is not installed: not compared with it')
    print(f'{comparison.compared} comparisons on {len(traces)} traces, {comparison.differences} differences')
    return 1 if comparison.differences else 0


if __name__ == '__main__':
    sys.exit(main())
