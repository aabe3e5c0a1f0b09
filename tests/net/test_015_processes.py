#!/usr/bin/env python3
"""mapid as a command: in the foreground and in the background, its log and its pid file, its place and who may take it, and what
becomes of the rest when one of its processes is killed.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import signal
import subprocess

from netns import World, Sender, children, plain, program, wait_for, WAIT_S


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


with World() as world:
    world.veth("out", "in")
    sender = Sender("out")

    # In the foreground both processes go on to log.
    mapid = world.mapid("")
    client = world.client()
    counting = client.flow("in", ("PKT_COUNTER",))
    mapid.process.send_signal(signal.SIGHUP)
    mapid.wait_log("the new configuration is in force")
    world.expect("SIGTERM", mapid.stop(), 0)
    world.expect_true("the opener says why it ends", "ends (Terminated)" in mapid.log() and "has ended" in mapid.log(), mapid.log())
    world.expect("the socket is gone", mapid.socket.exists(), False)

    # In the background: the command returns, and whoever reads its output finds the end of it.
    socket, log = world.folder / "back.sock", world.folder / "back"
    config = world.folder / "back.conf"
    config.write_text(f"logfile={log}\n", encoding="ascii")
    done = subprocess.run([program("MAPI_TEST_MAPID"), "-d", "-c", str(config), "--socket", str(socket)], capture_output=True,
                          text=True, check=False, timeout=WAIT_S, env=world.environment({"MAPI_SOCKET": None}))
    pid = int((world.folder / "back.sock.pid").read_text())
    world.hang_on(pid)
    engine = children(pid)[0]
    world.hang_on(engine)
    world.expect("the command returns", done.returncode, 0)
    world.expect_true("the pid file names the opener", alive(pid) and alive(engine))
    guest = world.client({"MAPI_SOCKET": str(socket)})
    fd, counter = guest.flow("in", ("PKT_COUNTER",))
    sender.send(plain(i, 100) for i in range(100))
    world.expect("it works in the background", world.reach(guest, fd, counter, 100), 100)
    done = subprocess.run([program("MAPI_TEST_MAPID"), "-d", "-c", str(config), "--socket", str(socket)], capture_output=True,
                          text=True, check=False, timeout=WAIT_S, env=world.environment({"MAPI_SOCKET": None}))
    world.expect("a second one on the same socket", done.returncode, 1)
    world.expect_true("says why", f"another mapid listens on {socket}" in done.stderr, done.stderr)
    text = (world.folder / "back.info").read_text()
    world.expect_true("both processes log to the file", "serves on" in text and "device in is open" in text, text)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid) and not alive(engine), "both have ended")
    world.expect("socket and pid file are gone", [socket.exists(), (world.folder / "back.sock.pid").exists()], [False, False])
    guest.kill()

    # One of them is killed: the other one ends, and the next mapid takes the place, with flow numbers that go on.
    for victim in ("engine", "pid"):
        mapid = world.mapid(None, "--socket", str(world.folder / "killed.sock"))
        processes = [mapid.pid, mapid.engine]
        guest = world.client({"MAPI_SOCKET": str(world.folder / "killed.sock")})
        fd, counter = guest.flow("in", ("PKT_COUNTER",))
        os.kill(getattr(mapid, victim), signal.SIGKILL)
        status = mapid.process.wait(WAIT_S)
        world.expect(f"{victim} killed: the opener's status", status, 1 if victim == "engine" else -signal.SIGKILL)
        wait_for(lambda: not any(alive(process) for process in processes), "both have ended")
        if victim == "engine":
            world.expect_true("the opener tells", "was ended by signal 9" in mapid.log(), mapid.log())
        else:
            world.expect_true("the engine process tells", "the opener is gone" in mapid.log(), mapid.log())
        world.mapids.remove(mapid)
        mapid = world.mapid(None, "--socket", str(world.folder / "killed.sock"))
        late = world.client({"MAPI_SOCKET": str(world.folder / "killed.sock")})
        again, number = late.flow("in", ("PKT_COUNTER",))
        world.expect_true(f"{victim} killed: numbers go on", again > fd, f"{again} after {fd}")
        wait_for(lambda: guest.do("active")[0] == "2", "the program that was there before has returned")
        sender.send(plain(i, 100) for i in range(50))
        world.expect("its flow counts on, with its number", world.reach(guest, fd, counter, 50), 50)
        world.expect("and so does the new one", world.reach(late, again, number, 50), 50)
        guest.kill()
        late.kill()
        world.expect("SIGTERM", mapid.stop(), 0)
