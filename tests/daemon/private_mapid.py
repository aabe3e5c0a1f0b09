"""A mapid of a test's own: its socket, configuration and log lie in a temporary folder, and nothing of it stays.

SPDX-License-Identifier: BSD-2-Clause
"""

import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIMIT_S = 60  # nothing waits for it but what hangs
# System calls of threads that wait for work: futex; and of those that sleep, as a sanitizer's do.
WAITING = ('202', '35', '230') if os.uname().machine == 'x86_64' else ('98', '101', '115')


class Failure(Exception):
    """What a test says about the thing it found."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, want, text):
    if got != want:
        raise Failure(f'{text}: {got!r} instead of {want!r}')


def until(condition, text, limit_s=LIMIT_S):
    """Looks again and again, for what cannot be waited for in any other way."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise Failure(f'not within {limit_s} s: {text() if callable(text) else text}')
        time.sleep(0.005)


def environment(**more):
    """Ours, without what would lead mapid or a program elsewhere."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith('MAPI_') and key not in ('NOTIFY_SOCKET', 'JOURNAL_STREAM', 'XDG_RUNTIME_DIR')}
    env.update(more)
    return env


def wait_for_end(pid_fd, what, limit_s=LIMIT_S):
    """The process of this pidfd has ended; it need not be a child."""
    check(select.select([pid_fd], [], [], limit_s)[0], f'{what} does not end within {limit_s} s')
    os.close(pid_fd)


class Mapid:
    """Usable with `with`; what still runs at the end is killed."""

    def __init__(self, binary, config='', args=(), env=None):
        self.binary = str(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='mapi-daemon-'))
        self.folder.chmod(0o755)
        self.socket = self.folder / 'socket'
        self.config = self.folder / 'mapi.conf'
        self.config.write_text(config, encoding='utf-8')
        self.errors = self.folder / 'stderr'
        self.output = self.folder / 'stdout'
        self.args = list(args)
        self.env = environment(**(env or {}))
        self.process = None
        self.engine = None
        self.notes = None
        self.killed = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.killed + ([self.engine] if self.engine else []):
            try:  # only ours: processes of this binary
                if os.readlink(f'/proc/{pid}/exe') == os.path.realpath(self.binary):
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.notes is not None:
            self.notes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self):
        return [self.binary, '--socket', str(self.socket), '-c', str(self.config)] + self.args

    def start(self):
        """Starts it and waits until it says that it is ready."""
        self.begin()
        note = self.note()
        check(note is not None, f'mapid ended instead of being ready: {self.log()}')
        check('READY=1' in note.split('\n'), f'mapid said {note!r} instead of READY=1')
        self.find_engine()
        return self

    def begin(self):
        """Starts it."""
        if self.notes is None:
            self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notes.bind(str(self.folder / 'notify'))
        while select.select([self.notes], [], [], 0)[0]:
            self.notes.recv(4096)  # of an earlier life
        if self.engine:
            self.killed.append(self.engine)  # of an earlier life
        self.engine = None
        with open(self.errors, 'ab') as errors, open(self.output, 'ab') as output:
            self.process = subprocess.Popen(self.command(), env=dict(self.env, NOTIFY_SOCKET=str(self.folder / 'notify')),
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=errors)

    def note(self, limit_s=LIMIT_S):
        """The next message to the service manager; None: mapid has ended without one."""
        if select.select([self.notes], [], [], 0)[0]:
            return self.notes.recv(4096).decode()
        if self.process.returncode is not None:
            return None
        ended = os.pidfd_open(self.process.pid)
        try:
            ready = select.select([self.notes, ended], [], [], limit_s)[0]
        finally:
            os.close(ended)
        check(ready, f'mapid says nothing within {limit_s} s: {self.log()}')
        return self.notes.recv(4096).decode() if self.notes in ready else None

    def find_engine(self):
        """By its name: a client that returns at once may already have a compiler of its own running beside it."""
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text(encoding='ascii')
        engines = []
        for pid in children.split():
            try:
                name = pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()
            except (FileNotFoundError, ProcessLookupError):
                continue  # a compiler that has just ended
            if name == 'mapid-engine':
                engines.append(int(pid))
        equal(len(engines), 1, 'engine processes of mapid')
        self.engine = engines[0]

    def log(self):
        return self.errors.read_text(encoding='utf-8', errors='replace')

    def complaints(self):
        """Lines of the log that are errors or warnings, or a sanitizer's."""
        return [line for line in self.log().split('\n')
                if any(word in line for word in ('error: ', 'warning: ', 'runtime error', 'ERROR: ', 'WARNING: '))]

    def held(self):
        """What the engine process holds: descriptors, and threads that do not just wait for requests. None: may not look."""
        try:
            descriptors = len(os.listdir(f'/proc/{self.engine}/fd'))
            threads = 0
            for task in os.listdir(f'/proc/{self.engine}/task'):
                try:
                    call = pathlib.Path(f'/proc/{self.engine}/task/{task}/syscall').read_text(encoding='ascii')
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has just ended
                threads += call.split()[0] not in WAITING
        except PermissionError:
            return None
        return descriptors, threads

    def answers(self):
        """Somebody accepts connections."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True

    def stop(self, how=signal.SIGTERM):
        """Ends it and returns its status."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self):
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f'mapid does not end: {self.log()}') from None

    def kill(self, opener=True, engine=True):
        """SIGKILL to one or both. Returns when both have ended, as they must."""
        fds = [os.pidfd_open(self.process.pid), os.pidfd_open(self.engine)]
        if engine:
            os.kill(self.engine, signal.SIGKILL)
        if opener:
            self.process.kill()
        wait_for_end(fds[1], 'the engine process')
        wait_for_end(fds[0], 'the opener')
        return self.process.wait()

    def client(self, **more):
        """The environment of a program that is to be served by it."""
        return environment(MAPI_BACKEND='local', MAPI_SOCKET=str(self.socket), **more)


class Client:
    """A program that does what it is told: tests/net/client.c. Calls give lists of words, or raise Refused."""

    def __init__(self, program, env, user=None):
        command = [str(program)] if user is None else ['setpriv', *user, str(program)]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pending = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.pending:  # it may wait for ever
            self.process.kill()
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def send(self, *words):
        self.pending = True
        self.process.stdin.write(('\t'.join(str(word) for word in words) + '\n').encode())

    def answer(self):
        check(select.select([self.process.stdout], [], [], LIMIT_S)[0], f'a client does not answer within {LIMIT_S} s')
        self.pending = False
        words = self.process.stdout.readline().decode(errors='replace').rstrip('\n').split('\t')
        if words[0] == 'error':
            raise Refused(int(words[1]), words[2])
        check(words[0] == 'ok', f'a client answers {words}')
        return [int(word) for word in words[1:]]

    def call(self, *words):
        self.send(*words)
        return self.answer()

    def refused(self, code, *words):
        """Returns the sentence."""
        try:
            got = self.call(*words)
        except Refused as why:
            equal(why.code, code, f'error of {words}: {why.sentence}')
            return why.sentence
        raise Failure(f'{words} gave {got} instead of error {code}')

    def flow(self, device, *functions):
        """A connected flow with these functions, each a tuple of name and arguments: [flow, fid, ...]."""
        fd, = self.call('flow', device)
        fids = [self.call('apply', fd, *function)[0] for function in functions]
        self.call('connect', fd)
        return [fd, *fids]


class Refused(Exception):
    def __init__(self, code, sentence):
        super().__init__(f'{code} {sentence}')
        self.code, self.sentence = code, sentence


def run_cases(cases, wanted):
    """All, or those whose names are given. The exit status."""
    failed = 0
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        begun = time.monotonic()
        try:
            case()
            print(f'ok {case.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)
        except (Failure, Refused) as why:
            failed += 1
            where = why.__traceback__
            while where.tb_next is not None and where.tb_next.tb_frame.f_code.co_filename != __file__:
                where = where.tb_next
            print(f'FAILED {case.__name__}, line {where.tb_lineno}: {why}', flush=True)
    return 1 if failed else 0
