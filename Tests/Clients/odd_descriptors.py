# SPDX-License-Identifier: Apache-2.0
"""Makes descriptors that nobody should take for memory or for a fence.

usage: odd_descriptors.py    (descriptor 3 is a connected SOCK_SEQPACKET socket)

A datagram with a name asks for one. The answer is "yes" with the descriptor, or "no" where this machine has none.
"""
import ctypes
import os
import pty
import select
import socket
import struct
import tempfile

libc = ctypes.CDLL(None, use_errno=True)
O_PATH = 0o10000000


def made(number):
    if number < 0:
        raise OSError(ctypes.get_errno(), "call")
    return number


def pipe(end=0):
    ends = os.pipe()
    os.close(ends[1 - end])
    return ends[end]


def full_pipe():
    ends = os.pipe()
    os.write(ends[1], bytes(4096))
    os.close(ends[1])
    return ends[0]


def listening():
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found.bind("")
    found.listen(1)
    return found.detach()


def epoll():
    found = select.epoll()
    return os.dup(found.fileno())


def nested():
    inner, outer = select.epoll(), select.epoll()
    outer.register(inner.fileno())
    return os.dup(outer.fileno())


def lingering():
    """A TCP socket with data that its peer will not take: the close of its last descriptor waits for that."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sender = socket.create_connection(listener.getsockname())
    lingering.peers.append(listener.accept()[0])
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(65536))
    except BlockingIOError:
        pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
    return sender.detach()


lingering.peers = []


def terminal():
    ours, theirs = pty.openpty()
    lingering.peers.append(os.fdopen(ours, "rb", buffering=0))
    return theirs


def unlinked():
    number, path = tempfile.mkstemp()
    os.ftruncate(number, 4096)
    os.unlink(path)
    return number


KINDS = {
    "pipe": pipe,
    "pipe's other end": lambda: pipe(1),
    "full pipe": full_pipe,
    "directory": lambda: os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY),
    "O_PATH": lambda: os.open("/etc/passwd", O_PATH),
    "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach(),
    "listening socket": listening,
    "TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach(),
    "lingering": lingering,
    "epoll": epoll,
    "nested epoll": nested,
    "inotify": lambda: made(libc.inotify_init1(0)),
    "timerfd": lambda: made(libc.timerfd_create(1, 0)),
    "userfaultfd": lambda: made(libc.syscall(323, 0)),
    "io_uring": lambda: made(libc.syscall(425, 4, ctypes.create_string_buffer(120))),
    "tty": terminal,
    "ptmx": lambda: os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY),
    "/dev/null": lambda: os.open("/dev/null", os.O_RDWR),
    "/dev/zero": lambda: os.open("/dev/zero", os.O_RDWR),
    "/dev/full": lambda: os.open("/dev/full", os.O_RDWR),
    "file": unlinked,
    "read-only file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "proc": lambda: os.open("/proc/self/fdinfo/3", os.O_RDONLY),
    "namespace": lambda: os.open("/proc/self/ns/mnt", os.O_RDONLY),
}


def main():
    ours = socket.socket(fileno=3)
    while name := ours.recv(256).decode():
        if name == "names":
            ours.send("\n".join(kind for kind in KINDS if kind != "lingering").encode())
            continue
        number = None
        try:
            number = KINDS[name]()
            # Some kernels pass no io_uring.
            socket.send_fds(ours, [b"yes"], [number])
        except OSError:
            ours.send(b"no")
        if number is not None:
            os.close(number)


main()
