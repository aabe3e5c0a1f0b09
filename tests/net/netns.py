"""A world for a test of mapid: a network and a /run of its own, mapid, clients, known traffic, and tcpdump as the judge.

The test's own process moves into anonymous namespaces, so nothing has a name that another test could have, and the kernel removes
everything with the last process. All processes are ended by their number, whatever happens. Nothing sleeps for luck: wait_for()
looks at a condition until a deadline that nothing but a fault reaches.

SPDX-License-Identifier: BSD-2-Clause
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

WAIT_S = 30
SANITIZED = os.environ.get("MAPI_TEST_SANITIZE", "none") != "none"
ETH_P_EXPERIMENT = 0x88B5
PATTERN = bytes(range(256)) * 260

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Failed(Exception):
    pass


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def program(variable):
    path = os.environ.get(variable)
    if not path:
        raise Failed(f"the environment variable {variable} must name a program of the build")
    return path


def wait_for(condition, what, seconds=WAIT_S):
    """The first true value of condition()."""
    deadline = time.monotonic() + seconds * (4 if SANITIZED else 1)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited in vain for: {what() if callable(what) else what}")
        time.sleep(0.002)


def end_with_us():
    """In a child: it does not outlive the test."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# ---- frames -------------------------------------------------------------------------------------------------------

def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ip(proto, source, destination, payload):
    """An Ethernet frame with an IPv4 packet."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0) + addresses
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\x00" + head + payload


def udp(source, destination, sport, dport, data=b""):
    return ip(17, source, destination, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(source, destination, sport, dport, data=b""):
    return ip(6, source, destination, struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, 0x18, 1024, 0, 0) + data)


def plain(number, size):
    """A frame of the protocol for experiments: its number and a pattern."""
    head = b"\x02\0\0\0\0\1\x02\0\0\0\0\2" + struct.pack(">HI", ETH_P_EXPERIMENT, number)
    return head + PATTERN[number & 255:][:size - len(head)]


def tagged(frame, vlan):
    return frame[:12] + struct.pack(">HH", 0x8100, vlan) + frame[12:]


class Sender:
    """Sends frames out of an interface, each exactly once, and knows what it has sent."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0))
        self.frames = self.bytes = 0

    def send(self, frames):
        for frame in frames:
            self.socket.send(frame)
            self.frames += 1
            self.bytes += len(frame)

    def close(self):
        self.socket.close()


class Stream:
    """A process that sends small frames without end, some 20,000 a second at most, until it is told to stop."""

    def __init__(self, world, device, size=100, most=5000000):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if self.pid != 0:
            theirs.close()
            world.hang_on(self.pid)
            return
        try:
            end_with_us()
            self.control.close()
            sender = Sender(device)
            frame = plain(0, size)
            theirs.settimeout(0.001)
            while sender.frames < most:
                sender.send([frame] * 20)
                try:
                    theirs.recv(1)
                    break
                except TimeoutError:
                    pass
            theirs.settimeout(None)
            theirs.sendall(str(sender.frames).encode())
        finally:
            os._exit(0)

    def stop(self):
        """How many frames it has sent."""
        self.control.sendall(b"s")
        sent = int(self.control.recv(64))
        os.waitpid(self.pid, 0)
        self.control.close()
        return sent


# ---- processes ------------------------------------------------------------------------------------------------------

class Refused(Exception):
    """A call of libmapi failed: .code and .text."""

    def __init__(self, call, code, text):
        super().__init__(f"{call}: {code} {text}")
        self.code, self.text = code, text


class Client:
    """A process with libmapi that does what it is told, one call at a time; see client.c."""

    def __init__(self, world, env=None, binary=None, **options):
        self.process = world.start([binary or program("MAPI_TEST_CLIENT")], env=world.environment(env), bufsize=0,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.pid = self.process.pid
        self.rest = b""

    def begin(self, *words):
        self.process.stdin.write("\t".join(str(word) for word in words).encode() + b"\n")

    def answer(self, call="a call"):
        while b"\n" not in self.rest:
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise Failed(f"the client has ended with {self.process.wait()} during {call}")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        words = line.decode().split("\t")
        if words[0] != "ok":
            raise Refused(call, int(words[1]), words[2])
        return words[1:]

    def do(self, *words):
        self.begin(*words)
        return self.answer(" ".join(str(word) for word in words)[:200])

    def flow(self, device, *functions):
        """A connected flow: its number, and those of its functions, each given as (name, argument, ...)."""
        fd = int(self.do("flow", device)[0])
        fids = [self.apply(fd, *function) for function in functions]
        self.do("connect", fd)
        return fd, *fids

    def apply(self, fd, *function):
        return int(self.do("apply", fd, *function)[0])

    def read(self, fd, fid):
        return int(self.do("read", fd, fid)[0])

    @staticmethod
    def _stats(words):
        names = ("seen", "delivered", "filtered", "dropped_interface", "dropped_kernel", "dropped_ring",
                 "dropped_file", "down")
        return dict(zip(names, (int(word) for word in words)))

    def flow_stats(self, fd):
        return self._stats(self.do("stats", fd))

    def device_stats(self, device):
        return self._stats(self.do("device", device))

    def old_stats(self, device):
        return [int(word) for word in self.do("oldstats", device)]

    def take(self, fd, fid, most=0):
        """Packets of a TO_BUFFER with NOWAIT until there is none: how many, and their bytes."""
        packets, size = self.do("take", fd, fid, most)
        return int(packets), int(size)

    def close(self, fd):
        self.do("close", fd)

    def quit(self):
        """Ends as a program does that has closed nothing."""
        self.process.stdin.close()
        status = self.process.wait(WAIT_S)
        self.process.stdout.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Mapid:
    """A mapid of the test's own. config None: without any option but what is given, as a newcomer starts it."""

    def __init__(self, world, config, options, wait=True):
        self.world = world
        self.log_path = world.folder / f"mapid-{len(world.mapids)}.log"
        self.socket = None
        self.config = None
        argv = [program("MAPI_TEST_MAPID"), *options]
        if config is not None:
            self.socket = world.folder / f"mapid-{len(world.mapids)}.sock"
            self.config = world.folder / f"mapi-{len(world.mapids)}.conf"
            self.config.write_text(config, encoding="ascii")
            argv += ["-c", str(self.config), "--socket", str(self.socket)]
        with open(self.log_path, "wb") as log:
            self.process = world.start(argv, env=world.environment({"MAPI_SOCKET": None}), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.pid = self.process.pid
        world.mapids.append(self)
        self.engine = None
        if wait:
            self.wait_log("serves on")
            self.engine = children(self.pid)[0]

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, text, times=1):
        def there():
            if self.process.poll() is not None and self.log().count(text) < times:
                raise Failed(f"mapid has ended with {self.process.returncode}:\n{self.log()}")
            return self.log().count(text) >= times
        wait_for(there, lambda: f"'{text}' in the log:\n{self.log()}")

    def reload(self, config):
        self.config.write_text(config, encoding="ascii")
        self.process.send_signal(signal.SIGHUP)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.engine}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.engine}/task"))

    def memory_kb(self):
        """What it has for itself, and what it shares with clients."""
        with open(f"/proc/{self.engine}/status", encoding="ascii") as file:
            values = dict(line.split(":", 1) for line in file)
        return int(values["RssAnon"].split()[0]), int(values["RssShmem"].split()[0])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


class Tcpdump:
    """The judge: what tcpdump saw on a device. It shows packets at once, for which its buffer has room for snaplen bytes of
    each, however small it is."""

    def __init__(self, world, device, *options, snaplen=2048):
        self.world = world
        self.path = world.folder / f"judge-{device}-{len(world.processes)}.pcap"
        self.said = self.path.with_suffix(".err")
        with open(self.said, "wb") as errors:
            self.process = world.start(["tcpdump", "-Z", "root", "-n", "-i", device, "-B", "65536", "-s", str(snaplen),
                                        "--immediate-mode", "-U", "-w", str(self.path), *options],
                                       stdin=subprocess.DEVNULL, stderr=errors)
        wait_for(lambda: "listening on" in self.said.read_text(), lambda: f"tcpdump: {self.said.read_text()}")

    def lengths(self):
        """Wire lengths of the packets that are in its file by now."""
        data = self.path.read_bytes() if self.path.exists() else b""
        at, found = 24, []
        while at + 16 <= len(data):
            caplen, wirelen = struct.unpack_from("<II", data, at + 8)
            at += 16 + caplen
            if at <= len(data):
                found.append(wirelen)
        return found

    def stop(self, packets):
        """Ends it when its file has so many packets. Returns the number that it captured, and that the kernel dropped."""
        wait_for(lambda: os.path.getsize(self.path) >= 24 + 16 * packets and len(self.lengths()) >= packets,
                 lambda: f"{packets} packets for tcpdump, which has {len(self.lengths())}")
        self.process.send_signal(signal.SIGINT)
        self.process.wait(WAIT_S)
        words = [line.split()[0] for line in self.said.read_text().splitlines() if line.split()[1:2] == ["packets"]
                 or line.split()[1:2] == ["packet"]]
        return int(words[0]), int(words[2])

    def count(self, expression):
        """How many packets of its file this filter lets through, by tcpdump itself."""
        done = subprocess.run(["tcpdump", "-n", "-r", str(self.path), "--count", expression], capture_output=True, text=True,
                              check=True, timeout=WAIT_S)
        return int(done.stdout.split()[0])


def packets_in(path):
    """How many whole packets tcpdump finds in a file; it must read it without a complaint."""
    done = subprocess.run(["tcpdump", "-n", "-r", str(path), "--count"], capture_output=True, text=True, check=False,
                          timeout=WAIT_S)
    if done.returncode != 0 or "truncated" in done.stderr:
        raise Failed(f"tcpdump -r {path}: {done.stderr}")
    return int(done.stdout.split()[0])


# ---- the world --------------------------------------------------------------------------------------------------------

class World:
    def __init__(self):
        self.processes, self.mapids, self.failures = [], [], []
        self.folder = None
        self.strays = set()

    def __enter__(self):
        if os.geteuid() != 0:
            skip("only root has network namespaces and packet sockets")
        for command in ("ip", "tcpdump"):
            if shutil.which(command) is None:
                skip(f"there is no command {command}")
        if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
            skip(f"namespaces of its own are not permitted here: {os.strerror(ctypes.get_errno())}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"mapi-net-{os.getpid()}-"))
        try:
            self.ip_command("mount --make-rslave /")
            self.ip_command("mount -t sysfs sysfs /sys")
            self.ip_command("mount -t tmpfs tmpfs /run")
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
            for name in ("all", "default"):
                path = pathlib.Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
                if path.exists():
                    path.write_text("1")  # nobody else may speak here
            self.ip_command("ip link set lo up")
            if subprocess.run(["ip", "link", "add", "t0", "type", "veth", "peer", "name", "t1"], stderr=subprocess.DEVNULL,
                              check=False).returncode != 0:
                self.clean()
                skip("this kernel has no veth")
            self.ip_command("ip link del t0")
        except BaseException:
            self.clean()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, SystemExit):
            traceback.print_exception(kind, value, trace)
            self.failures.append(str(value))
        for mapid in self.mapids:
            code = mapid.process.poll()
            if code is not None and code not in (0, -signal.SIGKILL):
                self.failures.append("mapid")
                print(f"FAILED: a mapid has ended with {code}")
        self.clean(bool(self.failures))
        print(f"{len(self.failures)} failures")
        sys.stdout.flush()
        sys.exit(1 if self.failures else 0)

    def clean(self, tell=False):
        for mapid in self.mapids:
            if mapid.process.poll() is None:
                mapid.process.terminate()
                try:
                    mapid.process.wait(WAIT_S)
                except subprocess.TimeoutExpired:
                    self.failures.append("a mapid does not end")
                    print("FAILED: a mapid does not end")
            if tell:
                print(f"---- the log of mapid:\n{mapid.log()[-4000:]}")
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in self.strays | set(children(os.getpid())):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.folder is not None:
            subprocess.run(["umount", "-q", "-R", str(self.folder / "disk")], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(self.folder, ignore_errors=True)

    def ip_command(self, command):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=WAIT_S)
        if done.returncode != 0:
            raise Failed(f"{command}: {done.stderr}")
        return done.stdout

    def start(self, argv, **options):
        process = subprocess.Popen(argv, preexec_fn=end_with_us, **options)
        self.processes.append(process)
        return process

    def environment(self, more=None):
        """Without what the user of the tests has set; with the socket of the first mapid."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("MAPI_") and key != "XDG_RUNTIME_DIR"}
        if self.mapids and self.mapids[0].socket is not None:
            env["MAPI_SOCKET"] = str(self.mapids[0].socket)
        env["MAPI_BACKEND"] = "local"
        for key, value in (more or {}).items():
            if value is None:
                env.pop(key, None)
            else:
                env[key] = value
        return env

    def mapid(self, config="", *options, wait=True):
        return Mapid(self, config, options, wait)

    def client(self, env=None, **options):
        return Client(self, env, **options)

    def tcpdump(self, device, *options, **more):
        return Tcpdump(self, device, *options, **more)

    def veth(self, here, there, mtu=None):
        """A pair of interfaces: what is sent out of one is received by the other."""
        size = f" mtu {mtu}" if mtu else ""
        self.ip_command(f"ip link add {here}{size} type veth peer name {there}{size}")
        self.up(here, there)

    def up(self, *names):
        for name in names:
            self.ip_command(f"ip link set {name} arp off up")
        for name in names:
            wait_for(lambda name=name: self.flags(name) & 0x40, f"the carrier of {name}")

    @staticmethod
    def flags(name):
        import fcntl
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            answer = fcntl.ioctl(asking, 0x8913, struct.pack("16sH14x", name.encode(), 0))
        return struct.unpack("16sH14x", answer)[1]

    @staticmethod
    def received(name):
        return int(pathlib.Path(f"/sys/class/net/{name}/statistics/rx_packets").read_text())

    # ---- verdicts

    def expect(self, what, got, want):
        if got != want:
            self.failures.append(what)
            print(f"FAILED {what}: {got!r} instead of {want!r}")
        else:
            print(f"ok {what}: {got!r}"[:150])

    def expect_true(self, what, good, detail=""):
        if not good:
            self.failures.append(what)
            print(f"FAILED {what} {detail}")
        else:
            print(f"ok {what} {detail}"[:150])

    def expect_refused(self, what, code, words, call, *arguments):
        """The call fails with this code, and its sentence has all these words."""
        try:
            call(*arguments)
        except Refused as why:
            self.expect(f"{what}: the error", why.code, code)
            for word in words:
                self.expect_true(f"{what}: the sentence has '{word}'", word in why.text, why.text)
            return
        self.expect(f"{what}: the error", "none", code)

    def expect_law(self, what, stats):
        """seen = delivered + filtered + everything dropped"""
        self.expect(f"{what}: seen = delivered + filtered + dropped", stats["seen"],
                    sum(value for name, value in stats.items() if name not in ("seen", "down")))

    def reach(self, client, fd, fid, number):
        """Waits until a counter has this number, and returns what it has then."""
        wait_for(lambda: client.read(fd, fid) >= number, lambda: f"{number} in a counter that has {client.read(fd, fid)}")
        return client.read(fd, fid)

    def hang_on(self, pid):
        """A process that nobody waits for, to be ended with the test."""
        self.strays.add(pid)
