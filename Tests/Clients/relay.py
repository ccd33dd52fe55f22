# SPDX-License-Identifier: Apache-2.0
"""Connects to a registry and passes on whatever either side says, with its descriptors.

usage: relay.py SOCKET [UID [GID,...]]    (descriptor 3 is a connected SOCK_SEQPACKET socket)

To the registry this process is the client: it has the user and the groups, and killing or stopping it is the client's
death or silence. Whoever has the other end of descriptor 3 says what is said.
"""
import os
import select
import socket
import sys

LIMIT = 16384 + 1


def pass_on(source, sink):
    data, descriptors, flags, _ = socket.recv_fds(source, LIMIT, 253)
    if not data and not descriptors:
        return False
    socket.send_fds(sink, [data], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def main():
    path, *identity = sys.argv[1:]
    if identity:
        groups = [int(group) for group in identity[1].split(",")] if len(identity) > 1 else []
        os.setgroups(groups)
        os.setresgid(int(identity[0]), int(identity[0]), int(identity[0]))
        os.setresuid(int(identity[0]), int(identity[0]), int(identity[0]))
    ours = socket.socket(fileno=3)
    registry = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    registry.connect(path)
    try:
        while True:
            for ready in select.select([ours, registry], [], [])[0]:
                if not pass_on(ready, registry if ready is ours else ours):
                    return
    except (BrokenPipeError, ConnectionResetError):
        # The other side may have said why before it left.
        try:
            while pass_on(registry, ours):
                pass
        except OSError:
            pass


main()
