# SPDX-License-Identifier: Apache-2.0
"""Offers a file whose close never ends to a receiver, and says whether the receiver ends.

usage: hostile_file.py COMMAND [ARG...]    (as root; COMMAND gets a connected socket as descriptor 3)
       hostile_file.py --connect PATH      (sends a message with the file to whoever listens there)
       hostile_file.py --called NAME PATH  (as above; its link is /NAME, and whoever asks for its attributes waits)

The file is on a FUSE mount that this program serves: FLUSH, which every close() sends, is left unanswered until the
receiver has ended. Prints the receiver's status, or "hangs", and what it said; with --connect, whether a second connection
ended, which it does only when nobody has the receiver's descriptors any more. With --called, how often it was asked before
the receiver hung up.
"""
import array
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

LOOKUP, FORGET, GETATTR, OPEN, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 17, 18, 25, 26
FILE = 2  # the node number of the one file; the root is 1


class Server:
    """The least that the kernel needs to open one file."""

    def __init__(self, folder):
        self.device = os.open("/dev/fuse", os.O_RDWR)
        self.held = []
        self.waits_for = {FLUSH}
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"hostile", folder.encode(), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        threading.Thread(target=self.serve, daemon=True).start()

    def answer(self, unique, body=b"", error=0):
        os.write(self.device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError:
                return
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            if opcode in self.waits_for:
                self.held.append((unique, opcode))
            elif opcode == INIT:
                self.answer(unique, struct.pack("<IIIIHHI", 7, 31, 0, 0, 1, 1, 4096).ljust(64, b"\0"))
            elif opcode == LOOKUP:
                self.answer(unique, struct.pack("<QQQQII", FILE, 0, 0, 0, 0, 0) + attributes(FILE))
            elif opcode == GETATTR:
                self.answer(unique, struct.pack("<QII", 0, 0, 0) + attributes(node))
            elif opcode == OPEN:
                self.answer(unique, struct.pack("<QII", 1, 0, 0))
            elif opcode in (RELEASE, FLUSH):
                self.answer(unique)
            elif opcode != FORGET:
                self.answer(unique, error=38)

    def let_go(self):
        self.waits_for = {}
        for unique, opcode in self.held:
            self.answer(unique, error=0 if opcode == FLUSH else 5)


def attributes(node):
    mode = 0o100666 if node == FILE else 0o40755
    return struct.pack("<QQQQQQ10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def offer(stream, descriptor):
    hello = struct.pack("<HHIQ", 1, 0, 32, 1) + struct.pack("<4sHHQ", b"DMBS", 1, 0, 0)
    body = struct.pack("<8B", 1, 2, 1, 0, 1, 0, 0, 0) + struct.pack("<IIIIQQ", 0, 0, 0, 0, 0, 0) + struct.pack("<Q", 4096)
    message = struct.pack("<HHIQ", 0x10, 1, 16 + len(body), 2) + body
    stream.send(hello)
    stream.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])


def connected(path):
    for _ in range(2000):
        try:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            end.connect(path)
            return end
        except OSError:
            end.close()
            time.sleep(0.01)
    sys.exit("nobody listens")


def send_to_listener(server, folder, path):
    first, second = connected(path), connected(path)
    descriptor = os.open(folder + "/file", os.O_RDWR)
    first.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    second.settimeout(20)
    try:
        second.recv(1)
        print("ended with", len(server.held), "close held")
    except TimeoutError:
        print("hangs")
    server.let_go()
    os.close(descriptor)


def send_called(server, folder, name, path):
    end = connected(path)
    server.waits_for = {}
    descriptor = os.open(f"{folder}/{name}", os.O_RDWR)
    # What is mounted nowhere has a path that begins with the slash of its own filesystem.
    subprocess.run(["umount", "-l", folder], check=True)
    server.waits_for = {GETATTR, STATFS}
    end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    end.settimeout(20)
    try:
        end.recv(1)
        print("was asked", len(server.held), "times")
    except TimeoutError:
        print("hangs")
    server.let_go()
    os.close(descriptor)


def main():
    subprocess.run(["modprobe", "fuse"], check=False)
    folder = tempfile.mkdtemp()
    server = Server(folder)
    if sys.argv[1] in ("--connect", "--called"):
        send = send_to_listener if sys.argv[1] == "--connect" else send_called
        send(server, folder, *sys.argv[2:])
        subprocess.run(["umount", "-l", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    receiver = subprocess.Popen(
        ["sh", "-c", f'exec "$@" 3<&{theirs.fileno()}', "sh"] + sys.argv[1:],
        pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    theirs.close()
    # Opened only now: a copy in the new process would be closed before COMMAND starts, and hold that.
    descriptor = os.open(folder + "/file", os.O_RDWR)
    offer(ours, descriptor)
    try:
        print(receiver.communicate(timeout=20)[0].strip())
        print("status", receiver.returncode, "with", len(server.held), "close held")
    except subprocess.TimeoutExpired:
        print("hangs")
    server.let_go()
    receiver.wait()
    os.close(descriptor)
    subprocess.run(["umount", "-l", folder], check=False)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
