# SPDX-License-Identifier: Apache-2.0
"""A client of a registry that sends a file whose close never ends, as memory and as a fence, until it is cut off.

usage: hostile_client.py SOCKET UID [PID]    (as root, and with FUSE)

Prints how many it could send and what it was told last. With the number of the registry's process it then ends that, and
says whether it ended while the file still held whoever had tried to close it. Only this process has the file: a process
that is started while it is open, or closes a copy, is held as well.
"""
import array
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import hostile_file

PATIENCE = 20
REFUSED, FAREWELL = 0x8011, 0x0002


def message(opcode, descriptors, serial, body=b""):
    return struct.pack("<HHIQ", opcode, descriptors, 16 + len(body), serial) + body


HELLO = message(0x0001, 0, 1, struct.pack("<4sHHQ", b"DMBS", 1, 0, 1))
JOIN = message(0x0100, 0, 2, bytes(16))
MEMORY = struct.pack("<BBBBIIIQQ", 1, 2, 1, 0, 0, 0, 0, 0, 4096)
REGISTER = message(0x0110, 1, 3, struct.pack("<BB6x", 0, 0) + MEMORY)
FENCE = message(0x0171, 1, 4, struct.pack("<QQQQIBBxx", 1, 0, 1, 10**9, 1, 2, 1))


def connect(path, uid):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(PATIENCE)
    os.seteuid(uid)
    try:
        client.connect(path)
    finally:
        os.seteuid(0)
    return client


def send(client, data, descriptors=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    client.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def flood(client, file):
    """How many were refused before the end, and its reason."""
    send(client, HELLO)
    send(client, JOIN)
    client.recv(16384)
    client.recv(16384)
    for count in range(100):
        send(client, REGISTER if count % 2 == 0 else FENCE, [file])
        answer = client.recv(16384)
        opcode, reason = struct.unpack_from("<H14xI", answer) if len(answer) >= 20 else (None, None)
        if opcode == FAREWELL:
            return f"cut off after {count + 1}, reason {reason}"
        if (opcode, reason) != (REFUSED, 1):
            return f"answered {answer.hex()}"
    return "never cut off"


def end(process):
    begin = time.monotonic()
    pidfd = os.pidfd_open(process)
    os.kill(process, signal.SIGTERM)
    if select.select([pidfd], [], [], PATIENCE)[0]:
        return f"ended, and {time.monotonic() - begin:.3f} s it took"
    return "hangs"


def main():
    path, uid = sys.argv[1], int(sys.argv[2])
    folder = tempfile.mkdtemp()
    try:
        server = hostile_file.Server(folder)
    except OSError as error:
        sys.exit(f"no FUSE: {error}")
    client, stranger = connect(path, uid), connect(path, 0)
    file = os.open(folder + "/file", os.O_RDWR)
    try:
        # Several in one message, before it is known who it is.
        send(stranger, message(0x0001, 4, 1, struct.pack("<4sHHQ", b"DMBS", 1, 0, 1)), [file] * 4)
        print(flood(client, file))
        if len(sys.argv) > 3:
            print(end(int(sys.argv[3])))
        print("held", len(server.held))
    finally:
        server.let_go()
    os.close(file)
    subprocess.run(["umount", "-l", folder], check=False)
    os.rmdir(folder)


main()
