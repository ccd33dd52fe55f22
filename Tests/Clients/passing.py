#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Passes a buffer to another process, or takes one: both sides of PROTOCOL.md with the standard library alone.

    passing.py offer SOCKET [--bytes N | --image WxH:XR24] [--after MS] [--unsealed]
    passing.py take SOCKET

SOCKET is a path, where whoever comes first listens, or fd:N. See README.md for what is printed and returned.
"""

import array
import errno
import fcntl
import mmap
import os
import re
import select
import socket
import stat
import struct
import sys
import threading
import time

MESSAGE_LIMIT = 16384
DESCRIPTOR_LIMIT = 253
PATIENCE = 30.0  # seconds for the peer
PROMISE_LIMIT = 10.0  # seconds for a fence, whatever the peer says

HELLO, FAREWELL, OFFER, ACCEPTED, REFUSED = 0x0001, 0x0002, 0x0010, 0x8010, 0x8011
DONE, MALFORMED, VERSION, DESCRIPTORS_LOST, DEADLINE, UNEXPECTED = range(6)
WRONG_KIND, DESCRIPTION, UNSEALED, UNWANTED = range(1, 5)
DMABUF, MEMFD = 1, 2
SYNC_FILE, EVENTFD, PIDFD = 1, 2, 3

# Kernel constants that the standard library does not name.
SYNC_IOC_FILE_INFO = 0xC0383E04
DMA_BUF_IOCTL_SYNC = 0x40086200
SYNC_READ, SYNC_START, SYNC_END = 1, 0, 4

# For each plane: bytes of a sample, and how many pixels it stands for across and down.
FORMATS = {
    b"R8  ": [(1, 1, 1)],
    b"RG16": [(2, 1, 1)],
    b"RG24": [(3, 1, 1)],
    b"XR24": [(4, 1, 1)],
    b"AR24": [(4, 1, 1)],
    b"XB24": [(4, 1, 1)],
    b"AB24": [(4, 1, 1)],
    b"YUYV": [(4, 2, 1)],
    b"NV12": [(1, 1, 1), (2, 2, 2)],
    b"P010": [(2, 1, 1), (4, 2, 2)],
    b"YU12": [(1, 1, 1), (1, 2, 2), (1, 2, 2)],
}


class Ended(Exception):
    """The connection is over; `reason` is the farewell to say, or None if there is nobody to say it to."""

    def __init__(self, reason, text, status=1):
        super().__init__(text)
        self.reason, self.status = reason, status


class Refused(Exception):
    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


# MARK: Messages


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        size = struct.calcsize("<" + layout)
        if len(self.data) - self.at < size:
            raise Ended(MALFORMED, "the message is too short")
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += size
        return values if len(values) > 1 else values[0]

    def text(self, count):
        try:
            text = self.take(f"{count}s").decode("utf-8") if count else ""
        except UnicodeDecodeError:
            raise Ended(MALFORMED, "a text is not UTF-8") from None
        if re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text):
            raise Ended(MALFORMED, "a text has control characters")
        return text


def demand(condition, text):
    if not condition:
        raise Ended(MALFORMED, text)


def decode(data, descriptor_count):
    """(opcode, serial, body) of one datagram; every rule that needs no descriptor is checked."""
    reader = Reader(data)
    opcode, stated, size, serial = reader.take("HHIQ")
    demand(size == len(data), "the size is not the datagram's")
    decoders = {HELLO: decode_hello, FAREWELL: decode_farewell, OFFER: decode_offer, ACCEPTED: lambda _: None,
                REFUSED: decode_refused}
    demand(opcode in decoders, f"opcode {opcode:#x} is not known")
    body = decoders[opcode](reader)
    demand(reader.at == len(data), "bytes follow the message")
    expected = len(body["sizes"]) + len(body["fences"]) if opcode == OFFER else 0
    demand(stated == expected, "the number of descriptors is not this message's")
    demand(stated == descriptor_count, "another number of descriptors came")
    return opcode, serial, body


def decode_hello(reader):
    magic, version, reserved, features = reader.take("4sHHQ")
    demand(magic == b"DMBS", "the magic is wrong")
    demand(reserved == 0, "reserved is not 0")
    return {"version": version, "features": features}


def decode_reason(reader, reasons):
    reason, length, reserved = reader.take("IHH")
    demand(reason in reasons, f"{reason} is no reason")
    demand(reserved == 0 and length <= 512, "a text is too long, or reserved is not 0")
    return {"reason": reason, "text": reader.text(length)}


def decode_farewell(reader):
    return decode_reason(reader, range(6))


def decode_refused(reader):
    return decode_reason(reader, range(1, 5))


def decode_offer(reader):
    content, backing, access, flags, sizes, planes, fences, name = reader.take("8B")
    demand(content in (1, 2) and backing in (DMABUF, MEMFD) and access in (1, 2, 3) and flags in (0, 1),
           "content, backing, access or flags has a value that is not defined")
    demand(1 <= sizes <= 4 and planes <= 4 and fences <= 16 and name <= 64, "a count is out of its range")
    width, height, fourcc, reserved, modifier, checksum = reader.take("II4sIQQ")
    demand(reserved == 0, "reserved is not 0")
    demand(flags == 1 or checksum == 0, "a checksum that is not announced")
    offer = {"image": content == 2, "backing": backing, "access": access, "width": width, "height": height,
             "fourcc": fourcc, "modifier": modifier, "checksum": checksum if flags else None}
    offer["sizes"] = [reader.take("Q") for _ in range(sizes)]
    offer["planes"] = [reader.take("IIQ") for _ in range(planes)]
    offer["fences"] = [reader.take("BBHIQ") for _ in range(fences)]
    for kind, usage, reserved_16, reserved_32, _ in offer["fences"]:
        demand(kind in (1, 2, 3) and usage <= 3, "a fence has a value that is not defined")
        demand(reserved_16 == 0 and reserved_32 == 0, "reserved is not 0")
    if not offer["image"]:
        demand((width, height, fourcc, modifier) == (0, 0, b"\0\0\0\0", 0), "plain bytes with fields of an image")
        demand(sizes == 1 and planes == 0, "plain bytes lie in one memory and have no planes")
    offer["name"] = reader.text(name)
    return offer


def encode(opcode, serial, body=b"", descriptors=0):
    return struct.pack("<HHIQ", opcode, descriptors, 16 + len(body), serial) + body


def encode_reason(reason, text):
    data = text.encode()[:512].decode(errors="ignore").encode()
    return struct.pack("<IHH", reason, len(data), 0) + data


def encode_offer(offer):
    name = offer["name"].encode()
    body = struct.pack(
        "<8BII4sIQQ", 2 if offer["image"] else 1, offer["backing"], offer["access"], 0 if offer["checksum"] is None else 1,
        len(offer["sizes"]), len(offer["planes"]), len(offer["fences"]), len(name), offer["width"], offer["height"],
        offer["fourcc"], 0, offer["modifier"], offer["checksum"] or 0)
    body += b"".join(struct.pack("<Q", size) for size in offer["sizes"])
    body += b"".join(struct.pack("<IIQ", *plane) for plane in offer["planes"])
    body += b"".join(struct.pack("<BBHIQ", *fence) for fence in offer["fences"])
    return body + name


# MARK: The connection


class Connection:
    def __init__(self, connected):
        self.socket, self.serial = connected, 0

    def send(self, opcode, body=b"", descriptors=(), serial=None):
        if serial is None:
            self.serial += 1
            serial = self.serial
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.sendmsg([encode(opcode, serial, body, len(descriptors))], rights, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            self.receive(after_failure=True)
            raise Ended(None, "the peer closed the connection") from None
        except TimeoutError:
            raise Ended(DEADLINE, "the peer does not read", 124) from None
        return serial

    def receive(self, after_failure=False):
        """(opcode, serial, body, descriptors); a farewell is raised."""
        room = socket.CMSG_SPACE(DESCRIPTOR_LIMIT * 4)
        self.socket.settimeout(PATIENCE)
        for attempt in range(2):
            try:
                data, control, flags, _ = self.socket.recvmsg(MESSAGE_LIMIT, room, socket.MSG_CMSG_CLOEXEC)
                break
            except ConnectionResetError:
                # The kernel tells of the reset first and keeps a farewell behind it.
                if attempt == 1:
                    raise Ended(None, "the peer closed the connection") from None
            except TimeoutError:
                raise Ended(DEADLINE, "the peer sends nothing", 124) from None
        descriptors = array.array("i")
        for level, kind, part in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(part[: len(part) - len(part) % 4])
        try:
            if flags & socket.MSG_CTRUNC:
                raise Ended(DESCRIPTORS_LOST, "descriptors were lost")
            demand(not flags & socket.MSG_TRUNC, "the message is too long")
            if not data:
                raise Ended(None, "the peer closed the connection")
            opcode, serial, body = decode(data, len(descriptors))
            if opcode == FAREWELL:
                raise Ended(None, f"the peer ended the connection: {body['text']} (reason {body['reason']})")
        except Ended:
            close_all(descriptors)
            raise
        return opcode, serial, body, list(descriptors)

    def greet(self):
        self.send(HELLO, struct.pack("<4sHHQ", b"DMBS", 1, 0, 0))
        opcode, _, body, descriptors = self.receive()
        if opcode != HELLO:
            close_all(descriptors)
            raise Ended(UNEXPECTED, "the first message is no hello")
        if body["version"] != 1:
            raise Ended(VERSION, f"version {body['version']} is not spoken here")

    def end(self, reason, text):
        self.socket.setblocking(False)
        try:
            self.serial += 1
            body = encode_reason(reason, text)
            self.socket.send(encode(FAREWELL, self.serial, body), socket.MSG_NOSIGNAL)
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def close_all(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def try_to_connect(path):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.connect(path)
        return end
    except OSError as error:
        end.close()
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            raise
        return None


def meet(path):
    """A connected socket, by whichever of the two ways."""
    if path.startswith("fd:"):
        end = socket.socket(fileno=int(path[3:]))
        if (end.family, end.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            raise OSError(errno.EINVAL, "not a SOCK_SEQPACKET unix socket")
        os.set_inheritable(end.fileno(), False)
        return end
    deadline = time.monotonic() + PATIENCE
    if end := try_to_connect(path):
        return end
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Ended(None, "the folder stays locked", 124) from None
                time.sleep(0.002)
        # Someone may have begun to listen before the lock was ours.
        if end := try_to_connect(path):
            return end
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError(errno.EEXIST, "something that is no socket is there", path)
            os.unlink(path)
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(16)
    finally:
        os.close(folder)
    listener.settimeout(max(0.0, deadline - time.monotonic()))
    try:
        return listener.accept()[0]
    except TimeoutError:
        raise Ended(None, "nobody came", 124) from None
    finally:
        os.unlink(path)
        listener.close()


# MARK: Checks


def kind_of(descriptor):
    """What a descriptor is, found without calling anything on the file behind it."""
    link = os.readlink(b"/proc/self/fd/%d" % descriptor)
    if link.startswith(b"/dmabuf:"):
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
            fields = file.read().split(b"\nname:", 1)[0]
        if b"\nexp_name:" in fields:
            return DMABUF  # statfs would settle it; the standard library has no f_type
    elif link.startswith(b"/memfd:"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            return MEMFD
        except OSError:
            pass
    kinds = {b"anon_inode:sync_file": "sync_file", b"anon_inode:[eventfd]": "eventfd", b"anon_inode:[pidfd]": "pidfd"}
    return kinds.get(link)


def refuse_unless(condition, reason, text):
    if not condition:
        raise Refused(reason, text)


def check(offer, descriptors):
    memory, fences = descriptors[: len(offer["sizes"])], descriptors[len(offer["sizes"]):]
    for descriptor in memory:
        refuse_unless(kind_of(descriptor) == offer["backing"], WRONG_KIND, "a memory is not what it is called")
    for descriptor, (kind, *_) in zip(fences, offer["fences"]):
        refuse_unless(kind_of(descriptor) == {1: "sync_file", 2: "eventfd", 3: "pidfd"}[kind], WRONG_KIND,
                      "a fence is not what it is called")
    for index, (descriptor, size) in enumerate(zip(memory, offer["sizes"])):
        if offer["backing"] == MEMFD:
            sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
            refuse_unless(sealed, UNSEALED, f"memory {index} is a memfd that can shrink")
        real = os.lseek(descriptor, 0, os.SEEK_END)
        refuse_unless(1 <= size <= min(real, 2**63 - 1), DESCRIPTION,
                      f"memory {index} is described as {size} bytes and has {real}")
    if offer["image"]:
        check_image(offer)


def check_image(offer):
    # Python's integers do not overflow.
    sizes, planes, linear = offer["sizes"], offer["planes"], offer["modifier"] == 0
    refuse_unless(offer["width"] and offer["height"], DESCRIPTION, "the image has no pixels")
    shapes = FORMATS.get(offer["fourcc"])
    refuse_unless(shapes, DESCRIPTION, "the pixel format is not known here")
    refuse_unless(len(planes) == len(shapes) if linear else planes, DESCRIPTION, "the number of planes is wrong")
    for index, (memory, stride, offset) in enumerate(planes):
        refuse_unless(memory < len(sizes), DESCRIPTION, f"plane {index} lies in no memory of the offer")
        if not linear:
            refuse_unless(stride and offset < sizes[memory], DESCRIPTION, f"plane {index} is not in its memory")
            continue
        sample, across, down = shapes[index]
        line = -(-offer["width"] // across) * sample
        end = offset + stride * (-(-offer["height"] // down) - 1) + line
        refuse_unless(stride >= line, DESCRIPTION, f"the stride of plane {index} is too small")
        refuse_unless(end <= sizes[memory], DESCRIPTION, f"plane {index} ends past its memory")


def wait_readable(descriptor, deadline):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0, (deadline - time.monotonic()) * 1000)):
        raise Ended(None, "a fence did not end in time", 124)


def wait_for_fences(offer, fences, received):
    for descriptor, (kind, usage, _, _, within) in zip(fences, offer["fences"]):
        if usage > 1:  # a reader waits for kernel and write
            continue
        wait_readable(descriptor, received + min(within / 1e9, PROMISE_LIMIT))
        if kind == SYNC_FILE:
            info = bytearray(56)
            fcntl.ioctl(descriptor, SYNC_IOC_FILE_INFO, info)
            if struct.unpack_from("<i", info, 32)[0] < 0:
                raise Ended(None, "the work behind a fence failed")


def checksum_of(descriptors, sizes, backing):
    value = 0xCBF29CE484222325
    for descriptor, size in zip(descriptors, sizes):
        with mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            if backing == DMABUF:
                wait_readable(descriptor, time.monotonic() + 2)
                fcntl.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, struct.pack("<Q", SYNC_START | SYNC_READ))
            for start in range(0, size, 1 << 20):
                for byte in memory[start: start + (1 << 20)]:
                    value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
            if backing == DMABUF:
                fcntl.ioctl(descriptor, DMA_BUF_IOCTL_SYNC, struct.pack("<Q", SYNC_END | SYNC_READ))
    return value


# MARK: The two commands


def take(connection):
    connection.greet()
    opcode, serial, offer, descriptors = connection.receive()
    received = time.monotonic()
    try:
        if opcode != OFFER:
            raise Ended(UNEXPECTED, "a message that is no offer")
        try:
            check(offer, descriptors)
        except Refused as refusal:
            connection.send(REFUSED, encode_reason(refusal.reason, str(refusal)), serial=serial)
            print(f"refused the offer: {refusal} (reason {refusal.reason})")
            return 4
        connection.send(ACCEPTED, serial=serial)
        count = len(offer["sizes"])
        wait_for_fences(offer, descriptors[count:], received)
        found = checksum_of(descriptors[:count], offer["sizes"], offer["backing"])
    finally:
        close_all(descriptors)
    what = f"{sum(offer['sizes'])} bytes"
    if offer["image"]:
        what = f"{offer['width']}x{offer['height']}:{offer['fourcc'].decode().rstrip()} in {what}"
    verdict = "no checksum" if offer["checksum"] is None else "matches" if found == offer["checksum"] else "DIFFERS"
    kind = {DMABUF: "dmabuf", MEMFD: "memfd"}[offer["backing"]]
    print(f'took {what} of {kind} "{offer["name"]}", checksum {found:016x} {verdict}')
    return 1 if verdict == "DIFFERS" else 0


def described(content):
    """The described part of an offer: sizes, and what an image needs."""
    offer = {"image": False, "width": 0, "height": 0, "fourcc": b"\0\0\0\0", "modifier": 0, "planes": [], "fences": []}
    match = re.fullmatch(r"(\d+)x(\d+):(....)", content)
    if not match:
        return offer | {"sizes": [int(content)]}
    width, height, fourcc = int(match[1]), int(match[2]), match[3].encode()
    if fourcc != b"XR24" or not (1 <= width <= 32768 and 1 <= height <= 32768):
        raise SystemExit("only WxH:XR24, up to 32768 a side")
    stride = -(-width * 4 // 256) * 256
    return offer | {"image": True, "width": width, "height": height, "fourcc": fourcc, "planes": [(0, stride, 0)],
                    "sizes": [stride * height]}


def offer_one(connection, content, after, sealed):
    offer = described(content) | {"backing": MEMFD, "access": 3, "name": "passing.py"}
    size = offer["sizes"][0]
    pattern = bytes((index * 31 + 7) % 256 for index in range(256))
    whole = (pattern * (size // 256 + 1))[:size]
    value = 0xCBF29CE484222325
    for byte in whole:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    offer["checksum"] = value
    file = os.memfd_create("passing.py", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    if sealed:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    memory = mmap.mmap(file, size)
    descriptors = [file]
    connection.greet()
    if after is None:
        memory[:] = whole
    else:
        # Submitted before it is offered: it ends by itself, whatever the receiver does.
        fence = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

        def work():
            time.sleep(after / 1000)
            memory[:] = whole
            os.eventfd_write(fence, 1)

        threading.Thread(target=work).start()
        descriptors.append(fence)
        offer["fences"] = [(EVENTFD, 1, 0, 0, (after + 2000) * 1000000)]
    serial = connection.send(OFFER, encode_offer(offer), descriptors)
    opcode, answered, body, stray = connection.receive()
    close_all(stray)
    if opcode not in (ACCEPTED, REFUSED) or answered != serial:
        raise Ended(UNEXPECTED, "an answer to something else")
    if opcode == REFUSED:
        print(f"refused: {body['text']} (reason {body['reason']})")
        return 4
    print(f"accepted: {size} bytes of memfd \"passing.py\", checksum {value:016x}")
    return 0


def main(arguments):
    def usage():
        raise SystemExit(__doc__)

    if len(arguments) < 2 or arguments[0] not in ("offer", "take"):
        usage()
    command, path, *options = arguments
    content, after, sealed = "4096", None, True
    while options and command == "offer":
        match options:
            case ["--bytes", number, *rest] if number.isdigit() and int(number) > 0:
                content, options = number, rest
            case ["--image", image, *rest] if re.fullmatch(r"\d+x\d+:....", image):
                content, options = image, rest
            case ["--after", number, *rest] if number.isdigit():
                after, options = int(number), rest
            case ["--unsealed", *rest]:
                sealed, options = False, rest
            case _:
                usage()
    if options:
        usage()
    connection = None
    try:
        connection = Connection(meet(path))
        status = take(connection) if command == "take" else offer_one(connection, content, after, sealed)
        connection.end(DONE, "done")
        return status
    except Ended as ended:
        if connection and ended.reason is not None:
            connection.end(ended.reason, str(ended))
        print(f"passing.py: {ended}", file=sys.stderr)
        return ended.status
    except OSError as error:
        print(f"passing.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
            sys.exit(64)
        raise
