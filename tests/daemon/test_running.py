#!/usr/bin/env python3
"""mapid at work and at its end: signals, files of flows, the log, a new configuration, who may use it, what its processes may.

SPDX-License-Identifier: BSD-2-Clause

Usage: test_running.py MAPID CLIENT TRACES VERSION [CASE...]
"""

import os
import pathlib
import re
import signal
import stat
import sys

sys.dont_write_bytecode = True
from private_mapid import Client, Mapid, Refused, check, equal, run_cases, until  # noqa: E402

MAPID, CLIENT, TRACES = sys.argv[1:4]
LIVE = '[driver]\ndevice=live\ndriver=replay\ntrace={}/demo.pcap\nrate=2000\n'.format(TRACES)
OTHER = '[driver]\ndevice=other\ndriver=replay\ntrace={}/demo.pcap\nrate=1000\n'.format(TRACES)
NOBODY = ['--reuid=nobody', '--clear-groups']


def packets_in(path):
    """How many packets a complete pcap file has; fails at half a packet."""
    data, at, n = path.read_bytes(), 24, 0
    check(len(data) >= 24, f'{path.name} has {len(data)} bytes')
    while at < len(data):
        check(at + 16 <= len(data), f'{path.name} ends in the middle of a header')
        at += 16 + int.from_bytes(data[at + 8:at + 12], 'little')
        n += 1
    equal(at, len(data), f'{path.name}: end of the last packet')
    return n


def reading(client, fd, fid, least):
    until(lambda: client.call('read', fd, fid)[0] >= least, f'{least} packets counted')


# ---- the end --------------------------------------------------------------------------------------------------------------

def signals_end_it():
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        with Mapid(MAPID, LIVE) as mapid:
            mapid.start()
            file = mapid.folder / 'written.pcap'
            with Client(CLIENT, mapid.client()) as client, Client(CLIENT, mapid.client()) as waiting:
                fd, counter, _ = client.flow('live', ('PKT_COUNTER',), ('TO_FILE', 0, file, 0))
                idle, buffer = waiting.flow('live', ('BPF_FILTER', 'host 1.2.3.4 and host 4.3.2.1'), ('TO_BUFFER', 0))[::2]
                reading(client, fd, counter, 300)
                waiting.send('take', idle, buffer)  # waits for ever
                equal(mapid.stop(how), 0, f'status after {how.name}')
                equal(mapid.note(), 'STOPPING=1\nSTATUS=stopping', 'word to the service manager')
                equal(mapid.complaints(), [], 'complaints')
                check(not mapid.socket.exists(), 'the socket is still there')
                wrote, counted = packets_in(file), client.call('read', fd, counter)[0]
                check(wrote >= 300, f'{wrote} packets in the file')
                check(counted >= 300, f'{counted} packets counted')
                check(client.refused(5123, 'flow', 'live') != '', 'no sentence')
                check('went away' in client.refused(6155, 'close', fd), 'closing a flow whose file may be incomplete')
                # With the next one everything goes on, also for who waits.
                mapid.start()
                until(lambda: works(client, 'flow', 'live'), 'the client finds the next mapid')
                waiting_flow_lives(client)
                equal(mapid.stop(), 0, 'status')


def works(client, *words):
    try:
        client.call(*words)
        return True
    except Refused as why:
        check(why.code in (5123, 6140), f'{words}: {why}')
        return False


def waiting_flow_lives(client):
    """The flow of the program that waits is there: two more that this client sees are connected or not, one is."""
    until(lambda: client.call('active')[0] == 1, lambda: f'{client.call("active")[0]} flows are connected')


def killed_opener():
    """The engine process completes what it has and ends; the next mapid takes the place."""
    with Mapid(MAPID, LIVE) as mapid:
        mapid.start()
        file = mapid.folder / 'written.pcap'
        with Client(CLIENT, mapid.client()) as client:
            fd, counter, _ = client.flow('live', ('PKT_COUNTER',), ('TO_FILE', 0, file, 0))
            reading(client, fd, counter, 300)
            mapid.kill(engine=False)
            check('the opener is gone: mapid ends' in mapid.log(), mapid.log())
            check(packets_in(file) >= 300, 'packets in the file')
            check(mapid.socket.exists(), 'nobody is left who could have removed the socket')
            mapid.start()
            check(mapid.answers(), 'the next one does not answer')
            until(lambda: works(client, 'flow', 'live'), 'the client finds the next mapid')
            client.call('close', fd)
            # The files of both lives are there, whole: a new file for the new life.
            lives = sorted(mapid.folder.glob('written.pcap*'))
            check(len(lives) == 2 and all(packets_in(path) >= 0 for path in lives), f'files: {[p.name for p in lives]}')
        equal(mapid.stop(), 0, 'status')


def killed_engine():
    with Mapid(MAPID, LIVE) as mapid:
        mapid.start()
        equal(mapid.kill(opener=False), 1, 'status')
        check('the engine process was ended by signal 9' in mapid.log(), mapid.log())
        check(not mapid.socket.exists(), 'the socket is still there')


# ---- a new configuration -----------------------------------------------------------------------------------------------------

def reload():
    with Mapid(MAPID, LIVE) as mapid:
        mapid.start()
        with Client(CLIENT, mapid.client()) as client:
            fd, counter = client.flow('live', ('PKT_COUNTER',))
            client.refused(3200, 'flow', 'other')
            for text, ready in ((LIVE + OTHER, 'serving'), ('log_level=x\n', 'the new configuration was refused'),
                                (LIVE + '[driver]\n', 'the new configuration was refused'), (LIVE + OTHER, 'serving')):
                before = len(mapid.log())
                mapid.config.write_text(text, encoding='ascii')
                mapid.process.send_signal(signal.SIGHUP)
                check(re.fullmatch(r'RELOADING=1\nMONOTONIC_USEC=\d+(\nSTATUS=.*)?', mapid.note() or ''), 'no RELOADING')
                note = mapid.note().split('\n')
                check('READY=1' in note and f'STATUS={ready}' in note, f'{text!r}: {note}')
                if ready == 'serving':
                    until(lambda: 'the new configuration is in force' in mapid.log()[before:], 'the engine process has it')
                else:
                    check(re.search(rf'{mapid.config}:\d+: .*; everything stays as it was', mapid.log()[before:]),
                          mapid.log()[before:])
                other, = client.call('flow', 'other')  # both devices are there
                client.call('close', other)
                now, = client.call('read', fd, counter)
                reading(client, fd, counter, now + 1)
            seen = client.call('stats', fd)
            equal(seen[0], sum(seen[1:7]), f'accounts of the flow that stayed: {seen}')
            equal(sum(seen[3:7]), 0, 'packets lost')
            # Without its device new flows cannot be made.
            mapid.config.write_text(OTHER, encoding='ascii')
            mapid.process.send_signal(signal.SIGHUP)
            mapid.note(), mapid.note()
            until(lambda: not works_or(3200, client, 'flow', 'live'), 'the device is gone')
        equal(mapid.stop(), 0, 'status')


def works_or(code, client, *words):
    try:
        client.call(*words)
        return True
    except Refused as why:
        equal(why.code, code, f'{words}')
        return False


# ---- the log ------------------------------------------------------------------------------------------------------------------

def log_levels():
    for level in (0, 1, 2):
        with Mapid(MAPID) as mapid:
            base = mapid.folder / 'log'
            mapid.config.write_text(f'log_level={level}\nlogfile={base}\n' + LIVE, encoding='ascii')
            mapid.start()
            with Client(CLIENT, mapid.client()) as client:
                fd, _ = client.flow('live', ('PKT_COUNTER',))
                client.call('close', fd)
                client.refused(6144, 'apply', client.call('flow', 'live')[0], 'NO\x1b[2JSUCH')
            equal(mapid.stop(), 0, 'status')
            info, debug = (pathlib.Path(f'{base}.{kind}') for kind in ('info', 'debug'))
            lines = info.read_text(encoding='utf-8').split('\n')[:-1]
            for line in lines:
                check(re.search(r' at \d{1,2}/\d{1,2}/\d{4} \d\d:\d\d:\d\d$', line), f'a line without its time: {line!r}')
            for wanted in ('begins', 'serves on', 'has ended'):
                equal(sum(wanted in line for line in lines), 1, f'lines with {wanted!r}')
            check(any('device live is open' in line for line in lines), 'nothing on the device')
            equal(stat.S_IMODE(info.stat().st_mode), 0o600, 'mode of the log')
            said = debug.read_text(encoding='utf-8') if debug.exists() else ''
            output = mapid.output.read_text(encoding='utf-8')
            equal('create flow on live' in said, level > 0, f'level {level}: debug messages in the file')
            equal('create flow on live' in output, level == 1, f'level {level}: debug messages on standard output')
            check('\x1b' not in said + output, 'a client spoke to the terminal')
            mapid.start()  # files are appended to
            equal(mapid.stop(), 0, 'status')
            equal(info.read_text(encoding='utf-8').count('has ended'), 2, 'ends in the log')


def log_that_cannot_be():
    with Mapid(MAPID, 'logfile=/nonexistent/folder/log\n') as mapid:
        mapid.begin()
        equal(mapid.wait(), 1, 'status')
        check('/nonexistent/folder/log' in mapid.log(), mapid.log())
        check(not mapid.socket.exists(), 'the socket is still there')


def syslog():
    with Mapid(MAPID, args=['-s']) as mapid:
        mapid.start()  # whether somebody reads it or not
        equal(mapid.stop(), 0, 'status')


# ---- rights --------------------------------------------------------------------------------------------------------------------

def who_may():
    """Only for root: others cannot become nobody."""
    if os.geteuid() != 0:
        return
    with Mapid(MAPID, 'group=no such group\n' + LIVE) as mapid:
        mapid.start()
        equal(stat.S_IMODE(mapid.socket.stat().st_mode), 0o600, 'mode of the socket without a group')
        with Client(CLIENT, mapid.client(), NOBODY + ['--regid=nogroup']) as client:
            text = client.refused(5124, 'flow', 'live')
            for word in (str(mapid.socket), 'permission denied', 'owner only'):
                check(word in text, f'{text!r} does not say {word!r}')
        equal(mapid.stop(), 0, 'status')
    with Mapid(MAPID, 'group=nogroup\n' + LIVE) as mapid:
        mapid.start()
        equal((stat.S_IMODE(mapid.socket.stat().st_mode), mapid.socket.stat().st_uid), (0o660, 0), 'mode and owner')
        equal(mapid.socket.group(), 'nogroup', 'group of the socket')
        with Client(CLIENT, mapid.client(), NOBODY + ['--regid=nogroup']) as client:
            fd, counter = client.flow('live', ('PKT_COUNTER',))
            reading(client, fd, counter, 1)
        with Client(CLIENT, mapid.client(), NOBODY + ['--regid=daemon']) as client:
            text = client.refused(5124, 'flow', 'live')
            for word in (str(mapid.socket), 'permission denied', 'members of the group nogroup'):
                check(word in text, f'{text!r} does not say {word!r}')
        equal(mapid.stop(), 0, 'status')


def status_of(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii').split('\n')
    return dict(line.split(':\t', 1) for line in lines if ':\t' in line)


def rights_of_the_processes():
    sanitized = b'__asan_init' in pathlib.Path(MAPID).read_bytes()
    with Mapid(MAPID, LIVE) as mapid:
        mapid.start()
        opener, engine = status_of(mapid.process.pid), status_of(mapid.engine)
        for name, process in (('opener', opener), ('engine process', engine)):
            equal(process['NoNewPrivs'], '1', f'{name}: NoNewPrivs')
            if not sanitized:
                equal(process['Seccomp'], '2', f'{name}: Seccomp')
        for key in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
            equal(int(engine[key], 16), 0, f'engine process: {key}')
        # NET_RAW 13, DAC_READ_SEARCH 2, SETUID 7, SETGID 6, KILL 5, CHOWN 0: and nothing else
        may = 1 << 13 | 1 << 2 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 0
        check(int(opener['CapPrm'], 16) & ~may == 0, f'opener: {opener["CapPrm"]}')
        check(int(opener['CapEff'], 16) & ~may == 0, f'opener: {opener["CapEff"]}')
        equal(opener['Threads'], '1', 'threads of the opener')
        if os.geteuid() == 0:
            equal(int(opener['CapPrm'], 16), may & int(status_of(os.getpid())['CapPrm'], 16), 'opener: CapPrm')
            check(int(engine['Uid'].split()[0]) != 0, 'the engine process is root')
            equal(len(set(engine['Uid'].split())), 1, 'users of the engine process')
            equal(len(set(engine['Gid'].split())), 1, 'groups of the engine process')
            check(int(engine['Gid'].split()[0]) != 0, 'the engine process is of the group root')
            equal(engine['Groups'].strip(), '', 'further groups of the engine process')
        equal(mapid.stop(), 0, 'status')


def limits():
    """What one client may not have, others have."""
    with Mapid(MAPID, 'max_flows=20\nmax_sessions=2\nmax_memory=8M\nmax_devices=3\n' + LIVE) as mapid:
        mapid.start()
        with Client(CLIENT, mapid.client()) as client, Client(CLIENT, mapid.client()) as second:
            flows = [client.call('flow', 'live')[0] for _ in range(20)]
            check('20' in client.refused(9000, 'flow', 'live'), 'the limit is not named')
            second.flow('live', ('PKT_COUNTER',))
            with Client(CLIENT, mapid.client()) as third:
                third.refused(5124, 'flow', 'live')
            client.call('close', flows.pop())
            flows += client.call('flow', 'live')
            for fd in flows[:4]:
                client.call('close', fd)
            for _ in range(3):
                client.call('flow', f'{TRACES}/demo.pcap')
            client.refused(9000, 'flow', f'{TRACES}/demo.pcap')
            # Rings of 4 MB on live devices: one fits.
            got = [works_or(9000, client, 'apply', fd, 'TO_BUFFER', 0) for fd in flows[4:8]]
            check(got[0] and not got[-1], f'rings: {got}')
        equal(mapid.stop(), 0, 'status')
        check('a client was turned away' in mapid.log(), mapid.log())


CASES = [signals_end_it, killed_opener, killed_engine, reload, log_levels, log_that_cannot_be, syslog, who_may,
         rights_of_the_processes, limits]

if __name__ == '__main__':
    sys.exit(run_cases(CASES, sys.argv[5:]))
