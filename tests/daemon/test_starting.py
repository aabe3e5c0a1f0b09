#!/usr/bin/env python3
"""mapid begins, or says why it does not: options, configurations right and wrong, its place, the background.

SPDX-License-Identifier: BSD-2-Clause

Usage: test_starting.py MAPID CLIENT TRACES VERSION [CASE...]
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from private_mapid import (LIMIT_S, Client, Mapid, check, environment, equal, run_cases,  # noqa: E402
                           wait_for_end)

MAPID, CLIENT, TRACES, VERSION = sys.argv[1:5]
HERE = pathlib.Path(__file__).resolve().parent
REPLAY = f'[driver]\ndevice=demo\ndriver=replay\ntrace={TRACES}/demo.pcap\nrate=1000\n'


def run(*args, **env):
    done = subprocess.run([MAPID, *map(str, args)], env=environment(**env), stdin=subprocess.DEVNULL, capture_output=True,
                          encoding='utf-8', errors='replace', check=False, timeout=LIMIT_S)
    return done.returncode, done.stdout, done.stderr


# ---- options ----------------------------------------------------------------------------------------------------------

def version_and_help():
    for option in ('-v', '--version'):
        equal(run(option), (0, f'mapid: MAPI v{VERSION}\n', ''), option)
    for option in ('-h', '--help'):
        status, output, errors = run(option)
        equal((status, errors), (0, ''), option)
        for name in ('--config', '--check-config', '--daemon', '--syslog', '--devgroup', '--socket', '--pid-file',
                     '--version', '--help'):
            check(name in output, f'{option} does not name {name}')


def options_that_do_not_exist():
    for args in (['-x'], ['--nonsense'], ['-c'], ['-g'], ['-g', 'x'], ['-g', '-1'], ['-g', '99999999999'], ['-g', ''],
                 ['--socket'], ['surplus']):
        status, output, errors = run(*args)
        equal((status, output), (2, ''), f'{args}')
        check('mapid: ' in errors, f'{args} says {errors!r}')


# ---- configurations -----------------------------------------------------------------------------------------------------

def wrong_rows():
    """(text, sentence) of the unit test's table."""
    source = (HERE.parent / 'unit' / 'config' / 'test_refused.c').read_text(encoding='utf-8')
    table = re.search(r'rows\[\] = \{(.*?)\n        \};', source, re.S).group(1)
    rows = []
    for text, sentence in re.findall(r'\{\s*("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*),\s*WRONG\s+(".*?")\s*\}', table, re.S):
        rows.append([''.join(bytes(piece, 'latin-1').decode('unicode_escape')
                             for piece in re.findall(r'"((?:[^"\\]|\\.)*)"', part)) for part in (text, sentence)])
    check(len(rows) >= 25, f'{len(rows)} wrong configurations found in the unit test')
    return rows


def wrong_configurations():
    with Mapid(MAPID) as mapid:
        for text, sentence in wrong_rows():
            mapid.config.write_bytes(text.encode('latin-1'))
            wanted = 'the configuration is wrong: ' + sentence.replace('y.conf', str(mapid.config))
            for option in (['--check-config'], []):
                status, output, errors = run('-c', mapid.config, '--socket', mapid.socket, *option)
                equal((status, output), (1, ''), f'{text!r} {option}')
                check(wanted in errors, f'{text!r} {option}: {errors!r} does not say {wanted!r}')
                check(not mapid.socket.exists(), f'{text!r}: there is a socket')
        for path in (mapid.folder / 'absent', mapid.folder, '/dev/null/x'):
            status, output, errors = run('-c', path, '--socket', mapid.socket)
            equal((status, output), (1, ''), f'{path} as configuration')
            check(str(path) in errors, f'{path} as configuration: {errors!r}')


def right_configurations():
    with Mapid(MAPID) as mapid:
        for text, devices, warning in (
                ('', 0, None),
                (REPLAY, 1, None),
                ('libs=stdflib.so:nolib.so\n', 0, ':1: there is no function library nolib.so; its functions are missing'),
                ('nonsense=1\n\n[nowhere]\nx=y\n', 0, ':1: '),
                ('[driver]\ndevice=nosuch0\ndriver=mapinicdrv.so\n', 1, ':1: there is no interface nosuch0 at present'),
                ('[driver]\ndevice=dag\ndriver=mapidagdrv.so\n', 1, ':3: ')):
            mapid.config.write_text(text, encoding='utf-8')
            status, output, errors = run('-c', mapid.config, '--check-config')
            equal(status, 0, f'status of {text!r}: {errors}')
            check(output.startswith(f'{mapid.config}: {devices} devices, ') and output.endswith(' no errors\n'),
                  f'{text!r}: {output!r}')
            if warning is None:
                equal(errors, '', f'{text!r}')
            else:
                check(str(mapid.config) + warning in errors, f'{text!r}: {errors!r} does not say {warning!r}')
            with Mapid(MAPID, text) as other:  # and it starts
                other.start()
                if warning is not None:
                    check(str(other.config) + warning in other.log(), f'{text!r}: the log does not say {warning!r}')
                equal(other.stop(), 0, f'{text!r}: status')


def the_environment_names_it():
    with Mapid(MAPID, REPLAY) as mapid:
        status, output, _ = run('--check-config', MAPI_CONF=str(mapid.config))
        equal(status, 0, 'status')
        check(output.startswith(f'{mapid.config}: 1 devices'), f'{output!r}')
        other = mapid.folder / 'other.conf'
        other.write_text('log_level=1\n', encoding='utf-8')
        _, output, _ = run('--check-config', '-c', other, MAPI_CONF=str(mapid.config))
        check(output.startswith(f'{other}: 0 devices'), f'-c comes before MAPI_CONF: {output!r}')
        # The socket: option, environment, configuration.
        mapid.config.write_text(f'socket={mapid.folder}/configured\n', encoding='utf-8')
        mapid.command = lambda: [MAPID, '-c', str(mapid.config)]
        mapid.env['MAPI_SOCKET'] = str(mapid.socket)
        mapid.start()
        check(mapid.answers(), 'nobody at MAPI_SOCKET')
        check(not (mapid.folder / 'configured').exists(), 'the configuration was preferred')
        equal(mapid.stop(), 0, 'status')
        del mapid.env['MAPI_SOCKET']
        mapid.socket = mapid.folder / 'configured'
        mapid.start()
        check(mapid.answers(), 'nobody at the configured socket')
        equal(mapid.stop(), 0, 'status')


def groups_of_devices():
    groups = ''.join(f'[driver]\ndevice=d{n}\ndriver=replay\ntrace={TRACES}/demo.pcap\ndevgroup={n}\n' for n in (1, 2))
    for args, offered in ((['-g', '1'], ['d1']), (['--devgroup=2'], ['d2']), ([], ['d1', 'd2'])):
        with Mapid(MAPID, groups, args) as mapid:
            mapid.start()
            with Client(CLIENT, mapid.client()) as client:
                for device in ('d1', 'd2'):
                    if device in offered:
                        client.call('flow', device)
                    else:
                        client.refused(3200, 'flow', device)
            equal(mapid.stop(), 0, 'status')


# ---- the place ------------------------------------------------------------------------------------------------------------

def a_second_one_refuses():
    with Mapid(MAPID) as mapid:
        mapid.start()
        for _ in range(2):
            status, output, errors = run('-c', mapid.config, '--socket', mapid.socket)
            equal((status, output), (1, ''), 'the second mapid')
            check(f'another mapid listens on {mapid.socket}' in errors, f'the second mapid says {errors!r}')
        check(mapid.answers(), 'the first one has suffered')
        with Client(CLIENT, mapid.client()) as client:
            client.call('flow', f'{TRACES}/demo.pcap')
        equal(mapid.stop(), 0, 'status')


def what_is_in_the_way():
    with Mapid(MAPID) as mapid:
        mapid.socket.write_text('precious', encoding='ascii')
        status, _, errors = run('-c', mapid.config, '--socket', mapid.socket)
        equal(status, 1, 'a file in the place of the socket')
        check(f'{mapid.socket} is there and is no socket' in errors, errors)
        equal(mapid.socket.read_text(encoding='ascii'), 'precious', 'the file')
        mapid.socket.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(str(mapid.socket))
            other.listen()
            status, _, errors = run('-c', mapid.config, '--socket', mapid.socket)
            equal(status, 1, 'somebody else listens')
            check(f'another program listens on {mapid.socket}' in errors, errors)
        mapid.start()  # now it is stale
        check(mapid.answers(), 'nobody answers')
        check('warning' not in mapid.log() and 'error' not in mapid.log(), mapid.log())
        equal(mapid.stop(), 0, 'status')
        for path in ('/' + 108 * 'x', mapid.folder / 'absent' / 'socket'):
            status, _, errors = run('-c', mapid.config, '--socket', path)
            equal(status, 1, f'{path}')
            check('mapid cannot be reached' in errors, errors)


def numbers_go_on():
    with Mapid(MAPID, REPLAY) as mapid:
        last = 0
        for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            mapid.start()
            with Client(CLIENT, mapid.client()) as client:
                for _ in range(3):
                    fd, = client.call('flow', 'demo')
                    equal(fd, last + 1, 'number of the next flow')
                    last = fd
            if how == signal.SIGKILL:
                mapid.kill()
            else:
                equal(mapid.stop(), 0, 'status')


# ---- in the background -------------------------------------------------------------------------------------------------------

def start_background(mapid, *args):
    """Returns (status, errors, pid or None) of the command."""
    status, output, errors = run('-c', mapid.config, '--socket', mapid.socket, '-d', *args)
    equal(output, '', 'standard output of -d')
    if status == 0:  # what a start in the foreground says, too, up to the moment when it is ready
        check('error' not in errors and 'warning' not in errors, f'mapid -d says {errors!r}')
        errors = ''
    file = pathlib.Path(str(mapid.socket) + '.pid')
    text = file.read_text(encoding='ascii') if file.exists() else ''
    check(status != 0 or re.fullmatch(r'\d+\n', text), f'the pid file has {text!r}')
    return status, errors, int(text) if text and status == 0 else None


def background_of(mapid):
    """What a failure would leave."""
    return [int(pid) for pid in os.listdir('/proc') if pid.isdigit() and is_of(pid, str(mapid.socket))]


def is_of(pid, path):
    try:
        return path.encode() in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
    except OSError:
        return False


def end_background(mapid, pid, how=signal.SIGTERM):
    ended = os.pidfd_open(pid)
    os.kill(pid, how)
    wait_for_end(ended, 'mapid in the background')
    if how == signal.SIGTERM:
        check(not mapid.socket.exists(), 'the socket is still there')
        check(not pathlib.Path(str(mapid.socket) + '.pid').exists(), 'the pid file is still there')


def background():
    with Mapid(MAPID, REPLAY) as mapid:
        try:
            try_background(mapid)
        finally:
            for pid in background_of(mapid):
                os.kill(pid, signal.SIGKILL)


def try_background(mapid):
    status, errors, pid = start_background(mapid)
    equal((status, errors), (0, ''), 'mapid -d')
    check(mapid.answers(), 'mapid -d returned before it could be reached')
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rsplit(')', 1)[1].split()
    check(int(stat[1]) != os.getpid() and int(stat[3]) != os.getsid(0), 'it is not a daemon')
    equal(int(stat[4]), 0, 'terminal of a daemon')
    equal(os.readlink(f'/proc/{pid}/cwd'), '/', 'working directory')
    for fd in range(3):
        equal(os.readlink(f'/proc/{pid}/fd/{fd}'), '/dev/null', f'descriptor {fd}')
    with Client(CLIENT, mapid.client()) as client:
        client.call('flow', 'demo')
    status, errors, _ = start_background(mapid)
    equal(status, 1, 'a second mapid -d')
    check(f'another mapid listens on {mapid.socket}' in errors, f'the second mapid -d says {errors!r}')
    end_background(mapid, pid)
    # A pid file that a killed one left is taken over, whatever it says.
    status, errors, pid = start_background(mapid)
    equal((status, errors), (0, ''), 'mapid -d, again')
    children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text(encoding='ascii').split()
    ended = os.pidfd_open(int(children[0]))
    end_background(mapid, pid, signal.SIGKILL)
    wait_for_end(ended, 'the engine process')
    status, errors, new = start_background(mapid)
    equal((status, errors), (0, ''), 'mapid -d after a kill')
    check(new != pid, 'the pid file was not written')
    end_background(mapid, new)
    file = mapid.folder / 'elsewhere'
    status, _, errors = run('-c', mapid.config, '--socket', mapid.socket, '-d', '--pid-file', file)
    equal(status, 0, f'status of mapid -d --pid-file: {errors}')
    end_background(mapid, int(file.read_text(encoding='ascii')))
    check(not file.exists(), 'the pid file is still there')
    mapid.config.write_text('log_level=7\n', encoding='ascii')
    status, errors, _ = start_background(mapid)
    equal(status, 1, 'mapid -d with a wrong configuration')
    check(f"{mapid.config}:1: 'log_level'" in errors, errors)
    file.mkdir()
    mapid.config.write_text('', encoding='ascii')
    status, _, errors = run('-c', mapid.config, '--socket', mapid.socket, '-d', '--pid-file', file)
    equal(status, 1, 'mapid -d with a folder as pid file')
    check(str(file) in errors and not mapid.socket.exists(), errors)


CASES = [version_and_help, options_that_do_not_exist, wrong_configurations, right_configurations, the_environment_names_it,
         groups_of_devices, a_second_one_refuses, what_is_in_the_way, numbers_go_on, background]

if __name__ == '__main__':
    sys.exit(run_cases(CASES, sys.argv[5:]))
