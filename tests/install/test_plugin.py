#!/usr/bin/env python3
"""Installs the build into a fresh prefix, builds examples/plugin there as a stranger would, and has the installed mapid load it.
Libraries that are broken are refused with a sentence, and mapid serves on.

SPDX-License-Identifier: BSD-2-Clause

Usage: test_plugin.py TREE BUILD PREFIX-OF-THE-BUILD [CASE...]
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

TREE, BUILD, PREFIX = map(pathlib.Path, sys.argv[1:4])
sys.dont_write_bytecode = True
sys.path.insert(0, str(TREE / 'tests' / 'daemon'))
from private_mapid import Failure, Mapid, check, environment, equal, run_cases  # noqa: E402

SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix='mapi-plugin-'))
ROOT = SCRATCH / 'root' / PREFIX.relative_to('/')
FOLDER = SCRATCH / 'example'
BROKEN = SCRATCH / 'broken'
TRACE = TREE / 'tests' / 'traces' / 'demo.pcap'
REPLAY = f'[driver]\ndevice=demo\ndriver=replay\ntrace={TRACE}\nrate=1000\n'

# -D of tests/install/plugins/broken.c, and what mapid says behind the path.
SENTENCES = {
    'NO_SYMBOL': 'there is no mapi_library in it, so it is no function library',
    'ABI': 'it is made for version 77 of function.h, this is version 0',
    'STDFLIB': "its name is stdflib, which is MAPI's own",
    'LOWER': 'a function has no name in upper case (letters, digits and _, at most 63)',
    'NO_RUN': 'BROKEN has no .run',
    'SILENT': 'BROKEN fails with -7001 and says nothing (mapi_fail())',
    'CRASH': 'it crashes with signal 11, Segmentation fault (BROKEN: .start)',
    'EXIT': 'it ends the process with status 7 (BROKEN: .start)',
    'BEHIND': 'it crashes with signal 11, Segmentation fault (BROKEN: .run and .finish, a trace)',
    'LOOP': 'it does not come to an end (BROKEN: .run and .finish, a trace)',
    'GUEST': 'BROKEN lets packets pass that it was not given',
    'LOADING': 'it crashes with signal 6, Aborted (loading it)',
}


def run(*command, env=None, cwd=None):
    done = subprocess.run([str(word) for word in command], env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          encoding='utf-8', errors='replace', check=False, timeout=120)
    check(done.returncode == 0, f'{command[0]}: status {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout + done.stderr


def installed(**more):
    return environment(PKG_CONFIG_PATH=str(ROOT / 'lib' / 'pkgconfig'), PKG_CONFIG_SYSROOT_DIR=str(SCRATCH / 'root'),
                       LD_LIBRARY_PATH=str(ROOT / 'lib'), **more)


def prepare():
    SCRATCH.chmod(0o755)  # the engine process is another user
    run('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', SCRATCH / 'root')
    shutil.copytree(TREE / 'examples' / 'plugin', FOLDER)
    said = run('make', '-C', FOLDER, 'CFLAGS=-O1 -Wall -Wextra -Werror', env=installed())
    check('warning' not in said, said)
    BROKEN.mkdir()
    words = run('pkg-config', '--cflags', '--libs', 'mapi', env=installed()).split()
    for name in SENTENCES:
        run('cc', '-shared', '-fPIC', '-std=gnu17', f'-D{name}', '-o', BROKEN / f'b_{name.lower()}.so',
            TREE / 'tests' / 'install' / 'plugins' / 'broken.c', *words, '-lmapi-engine', env=installed())


def mapid(libs, args=()):
    config = f'libpath={BROKEN / "nowhere"}:{FOLDER}:{BROKEN}\nlibs={libs}\n{REPLAY}'
    return Mapid(ROOT / 'sbin' / 'mapid', config, args, env={'LD_LIBRARY_PATH': str(ROOT / 'lib')})


def program(env):
    return subprocess.run([FOLDER / 'program', TRACE], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          encoding='utf-8', check=False, timeout=60)


def wanted():
    """The answers by another way: the bytes of the trace."""
    data = TRACE.read_bytes()
    at, packets = 24, []
    while at < len(data):
        s, us, caplen, wirelen = (int.from_bytes(data[at + i:at + i + 4], 'little') for i in (0, 4, 8, 12))
        packets.append((s * 1000000 + us, wirelen, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    counts = {}
    for us, _, _ in packets:
        counts[(us - packets[0][0]) // 1000000] = counts.get((us - packets[0][0]) // 1000000, 0) + 1
    over = max(counts)
    class_0 = 0
    for _, _, frame in packets:
        kind = int.from_bytes(frame[12:14], 'big')
        offset = 14
        while kind in (0x8100, 0x88a8):
            kind = int.from_bytes(frame[offset + 2:offset + 4], 'big')
            offset += 4
        if kind == 0x0800:
            class_0 += frame[offset + 1] >> 2 == 0
        elif kind == 0x86dd:
            class_0 += (frame[offset] & 15) << 2 | frame[offset + 1] >> 6 == 0
    large = sum(wirelen >= 1000 for _, wirelen, _ in packets)
    return (f'SIZE_COUNTER: {sum(wirelen >= 1514 for _, wirelen, _ in packets)} packets of 1514 bytes and more\n'
            f'PEAK: {over} periods, {max(counts[i] for i in counts if i < over)} packets in the busiest\n'
            f'DSCP 0: {class_0} packets, {class_0} of any size\n'
            f'CUT: {len(packets)} packets of at most 40 bytes\n'
            f'SIGHTING: {large} packets, the last is number {large}\n')


def warnings(daemon):
    """What it says about the lines of its configuration."""
    start = f'mapid: {daemon.config}:2: '
    return [line[len(start):] for line in daemon.log().split('\n') if line.startswith(start)]


# ---- cases ----------------------------------------------------------------------------------------------------------

def through_mapid():
    with mapid('stdflib.so:example.so') as daemon:
        daemon.start()
        equal(warnings(daemon), [], 'warnings')
        done = program(daemon.client(LD_LIBRARY_PATH=str(ROOT / 'lib')))
        equal(done.stdout, wanted(), 'what the program says')
        equal(done.returncode, 0, 'exit status of the program')
        equal(daemon.stop(), 0, 'exit status of mapid')
        equal(warnings(daemon), [], 'warnings')


def reloaded():
    """Libraries stay as they are until mapid starts again."""
    with mapid('stdflib.so') as daemon:
        daemon.start()
        text = daemon.config.read_text(encoding='utf-8')
        daemon.config.write_text(text.replace('libs=stdflib.so', 'libs=stdflib.so:example.so'), encoding='utf-8')
        daemon.process.send_signal(signal.SIGHUP)
        notes = [daemon.note(), daemon.note()]
        check('READY=1' in notes[1], f'mapid said {notes}')
        equal(warnings(daemon), ['example.so is not loaded: mapid loads function libraries when it starts'], 'warnings')
        done = program(daemon.client(LD_LIBRARY_PATH=str(ROOT / 'lib')))
        check(done.stdout.startswith('error 6144: '), done.stdout)
        equal(daemon.stop(), 0, 'exit status of mapid')


def embedded():
    env = installed(MAPI_BACKEND='embedded', MAPI_LIBPATH=f'/nowhere:{FOLDER}', MAPI_LIBS='stdflib.so:example.so', MAPI_DEBUG='1')
    done = program(env)
    equal((done.stdout, done.returncode), (wanted(), 0), 'what the program says')
    env['MAPI_LIBS'] = 'b_no_symbol.so'
    env['MAPI_LIBPATH'] = str(BROKEN)
    done = subprocess.run([FOLDER / 'program', TRACE], env=env, capture_output=True, encoding='utf-8', check=False, timeout=60)
    check(done.stdout.startswith('error 6144: '), done.stdout)
    check(SENTENCES['NO_SYMBOL'] in done.stderr, done.stderr)


def refused():
    """All that are broken, one that is not there, one elsewhere; and the good one serves on."""
    libs = ':'.join(f'b_{name.lower()}.so' for name in SENTENCES)
    with mapid(f'stdflib.so:{libs}:missing.so:../example.so:extraflib.so:example.so') as daemon:
        daemon.start()
        codes = {'NO_SYMBOL': 'a symbol is missing'}
        want = [f'{codes.get(name, "a library cannot be loaded")}: {BROKEN}/b_{name.lower()}.so: {text}'
                for name, text in SENTENCES.items()]
        want += ['there is no function library missing.so; its functions are missing',
                 "a library cannot be loaded: '../example.so' has a slash; libs= wants names of files in the folders of libpath=",
                 'there is no function library extraflib.so; its functions are missing']
        equal(warnings(daemon), want, 'what mapid says')
        done = program(daemon.client(LD_LIBRARY_PATH=str(ROOT / 'lib')))
        equal((done.stdout, done.returncode), (wanted(), 0), 'what the program says')
        equal(daemon.stop(), 0, 'exit status of mapid')
    with mapid('b_no_symbol.so:example.so', ['--check-config']) as daemon:
        daemon.begin()
        equal(daemon.wait(), 0, 'exit status of --check-config')
        equal(warnings(daemon), [f'a symbol is missing: {BROKEN}/b_no_symbol.so: {SENTENCES["NO_SYMBOL"]}'], 'warnings')


def main():
    try:
        prepare()
        return run_cases([through_mapid, reloaded, embedded, refused], sys.argv[4:])
    except Failure as why:
        print(f'FAILED {why}')
        return 1
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
