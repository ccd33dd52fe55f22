#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the registry in PROTOCOL.md, with the standard library alone.

    registry.py [--socket PATH] [--secret HEX] [--uid UID] [--pages] COMMAND ... [, COMMAND ...]
    registry.py [...] -                          one command a line from standard input
    registry.py fixtures FILE ...                what is wrong with these messages

One command for each request, and a few of its own (`registry.py --help`). Everything that comes is a line of JSON. `@` in place
of an argument is what the latest answer said under that name, `@NAME` what it said under another; a command that ends in `&` is
not waited for. See README.md.
"""

import argparse
import array
import collections
import fcntl
import itertools
import json
import mmap
import os
import select
import shlex
import socket
import struct
import sys
import time

import pages
import registry_wire as wire

PATIENCE = 30.0  # seconds for the registry
DESCRIPTOR_LIMIT = 253
REGISTRY_FEATURE, PAGES_FEATURE = 1, 2
FAREWELL, HELLO, JOIN = 0x0002, 0x0001, 0x0100
RULED_OUT = {"ruledOut", "refused"}  # any request may be
WITH_PAGES = {"joined": {"joinedWithPages"}, "attached": {"attachedWithWord"}, "mapped": {"mappedWithWord"}}


class Ended(Exception):
    """The connection is over; `reason` is the farewell to say, or None if there is nobody to say it to."""

    def __init__(self, reason, text, status=1):
        super().__init__(text)
        self.reason, self.status = reason, status


def default_path():
    runtime = "/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/run")
    return os.environ.get("DMABUF_SHARE_SOCKET") or f"{runtime}/dmabuf-share/registry.sock"


class Registry:
    """A connection that has joined. Notices are kept in `notices` until somebody takes them."""

    def __init__(self, path=None, secret=None, patience=PATIENCE, with_pages=False):
        self.patience, self.serials, self.asked = patience, itertools.count(1), {}
        self.features = REGISTRY_FEATURE | (PAGES_FEATURE if with_pages and pages.can_fence() else 0)
        self.pages = None  # unless both sides named the feature and the registry had room
        self.notices, self.answers = collections.deque(), {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path or default_path())
        _, uid, _ = struct.unpack("iII", self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.getuid()):
            raise Ended(None, f"the registry is run by uid {uid}")
        try:
            self.greet()
            answer, descriptors = self.request("join", secret=secret)
            self.joined = answer.values
            if descriptors:
                try:
                    self.pages = pages.Pages(self.joined, descriptors, self.request_values)
                except ValueError as error:
                    raise Ended("done", str(error)) from None
                finally:
                    close_all(descriptors)
        except Ended as end:
            self.close(end.reason, str(end))
            raise

    def greet(self):
        self.send(HELLO, {"magic": "DMBS", "version": 1, "features": self.features})
        message, descriptors = self.receive(time.monotonic() + self.patience)
        if message.opcode != HELLO or descriptors:
            raise Ended("unexpected", "the first message is no hello")
        if not message.values["features"] & REGISTRY_FEATURE:
            raise Ended("done", "the peer is no registry")
        self.features &= message.values["features"]

    def send(self, opcode, values, descriptors=()):
        message = wire.Message(opcode, next(self.serials), values)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.settimeout(self.patience)
        try:
            self.socket.sendmsg([wire.encode(message)], rights, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            self.receive(time.monotonic() + self.patience)  # raises the farewell, if there is one
            raise Ended(None, "the registry closed the connection") from None
        except TimeoutError:
            raise Ended("deadline", "the registry does not read", 124) from None
        return message.serial

    def ask(self, name, descriptors=(), /, **values):
        """Sends a request; its serial is for `answer`. Its descriptors stay the caller's."""
        serial = self.send(wire.REQUESTS[name], values, descriptors)
        self.asked[serial] = wire.MESSAGES[wire.REQUESTS[name]].answer
        return serial

    def answer(self, serial, patience=None):
        """(message, descriptors), whatever comes before it."""
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        while serial not in self.answers:
            self.take(deadline)
        return self.answers.pop(serial)

    def request(self, name, descriptors=(), /, **values):
        return self.answer(self.ask(name, descriptors, **values))

    def request_values(self, name, /, **values):
        """For a request whose answer has no descriptors."""
        message, _ = self.request(name, **values)
        return message.name, message.values

    def take(self, deadline):
        """Puts one message where it belongs."""
        message, descriptors = self.receive(deadline)
        if message.is_notice:
            self.notices.append(message)
        elif message.is_answer and message.name in self.answers_to(message.serial):
            del self.asked[message.serial]
            self.answers[message.serial] = message, descriptors
        else:
            close_all(descriptors)
            raise Ended("unexpected", f"{message.name} with serial {message.serial} has no place")

    def answers_to(self, serial):
        """The names of those that may come."""
        if serial not in self.asked:
            return set()
        name = self.asked[serial]
        in_force = self.features & PAGES_FEATURE and (name == "joined" or self.pages)
        return RULED_OUT | {name} | (WITH_PAGES.get(name, set()) if in_force else set())

    def receive(self, deadline):
        """(message, descriptors); a farewell is raised."""
        for attempt in range(2):
            try:
                self.socket.settimeout(max(0.001, deadline - time.monotonic()))
                data, control, flags, _ = self.socket.recvmsg(
                    wire.MESSAGE_LIMIT, socket.CMSG_SPACE(DESCRIPTOR_LIMIT * 4), socket.MSG_CMSG_CLOEXEC)
                break
            except ConnectionResetError:
                # The kernel tells of the reset first and keeps a farewell behind it.
                if attempt == 1:
                    raise Ended(None, "the registry closed the connection") from None
            except TimeoutError:
                raise Ended("deadline", "the registry sends nothing", 124) from None
        descriptors = array.array("i")
        for level, kind, part in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(part[:len(part) - len(part) % 4])
        try:
            if flags & socket.MSG_CTRUNC:
                raise Ended("descriptorsLost", "descriptors were lost")
            if flags & socket.MSG_TRUNC:
                raise wire.Malformed("tooLong")
            if not data:
                raise Ended(None, "the registry closed the connection")
            message = wire.decode(data, len(descriptors))
            if message.opcode == FAREWELL:
                raise Ended(None, f"the registry ended the connection: {message.values['reason']}: {message.values['text']}")
        except wire.Malformed as error:
            close_all(descriptors)
            raise Ended("version" if error.error == "version" else "malformed", str(error)) from None
        except Ended:
            close_all(descriptors)
            raise
        return message, list(descriptors)

    def close(self, reason="done", text=""):
        if reason is not None:
            self.socket.setblocking(False)
            try:
                farewell = wire.Message(FAREWELL, next(self.serials), {"reason": reason, "text": text[:100]})
                self.socket.send(wire.encode(farewell), socket.MSG_NOSIGNAL)
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.socket.close()


def close_all(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


# MARK: Descriptors of one's own


def make_memfd(size, content=b"", sealed=True):
    descriptor = os.memfd_create("registry.py", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    os.pwrite(descriptor, content[:size], 0)
    if sealed:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor


def make_fence(kind, pid):
    """A sync_file is a driver's to make: an eventfd goes in its place, and must be refused."""
    return os.pidfd_open(pid) if kind == "pidfd" else os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def mapped(descriptor):
    size = os.lseek(descriptor, 0, os.SEEK_END)
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def contents(descriptor):
    with mapped(descriptor) as view:
        return view[:]


def describe(arguments):
    """The values of `wire.MEMORIES` for memfds: plain bytes, or an image with one plane of four bytes a pixel."""
    values = {"content": "bytes", "backing": "memfd", "planes": [], "width": 0, "height": 0, "fourcc": None, "modifier": 0}
    sizes = arguments.memfd or [4096]
    if arguments.image:
        size, fourcc = arguments.image.split(":")
        width, height = map(int, size.split("x"))
        values |= {"content": "image", "width": width, "height": height, "fourcc": fourcc,
                   "planes": [{"memory": 0, "stride": 4 * width, "offset": 0}]}
        sizes = arguments.memfd or [4 * width * height]
    return values | {"memories": sizes}


# MARK: Commands


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(f"{self.prog}: {message}")

    def exit(self, status=0, message=None):
        raise ValueError(message or "")


def duration(text):
    for unit, scale in (("ms", 10**6), ("us", 10**3), ("ns", 1), ("s", 10**9)):
        if text.endswith(unit) and text[:-len(unit)].isdigit():
            return int(text[:-len(unit)]) * scale
    return int(text)


class Commands:
    """What can be asked for, as the tables of `wire` have it: a field with a default is an option, any other an argument."""

    def __init__(self):
        self.latest = {}
        self.parser = Parser(prog="registry.py", add_help=False)
        self.commands = self.parser.add_subparsers(dest="command", required=True)
        for name, opcode in wire.REQUESTS.items():
            if opcode != JOIN:
                self.add_request(name, wire.MESSAGES[opcode])
        watch = self.commands.add_parser("watch", help="prints what comes for so many seconds, or for a day")
        watch.add_argument("seconds", type=float, nargs="?", default=86400.0)
        until = self.commands.add_parser("until", help="prints what comes until this notice has")
        until.add_argument("notice")
        self.commands.add_parser("signal", help="ends the latest fence")
        peek = self.commands.add_parser("peek", help="the first bytes of the latest memory")
        peek.add_argument("count", type=int, nargs="?", default=16)
        poke = self.commands.add_parser("poke", help="writes text to its beginning")
        poke.add_argument("text")
        self.commands.add_parser("drop", help="closes the latest memory")
        begin = self.commands.add_parser("begin", help="an access by the control pages")
        begin.add_argument("attachment", type=lambda text: self.value(text, "attachment", int))
        begin.add_argument("--access", default="both")
        begin.add_argument("--within", type=duration, default=10**10)
        end = self.commands.add_parser("end", help="ends the access that was begun first of those of the control pages")
        end.add_argument("attachment", type=lambda text: self.value(text, "attachment", int))
        self.commands.add_parser("untilCutOff", help="reads nothing until the published page says so")

    def add_request(self, name, layout):
        parser = self.commands.add_parser(name, help=f"answered with {layout.answer}")
        fields = [field for field in layout.fields if field not in wire.MEMORIES]
        if len(fields) < len(layout.fields):
            parser.add_argument("--memfd", type=int, action="append", metavar="BYTES")
            parser.add_argument("--image", metavar="WxH:FOURCC")
            parser.add_argument("--content", default="", metavar="TEXT")
            parser.add_argument("--copy", action="store_true", help="memory like the latest, with its content")
            parser.add_argument("--unsealed", action="store_true", help="memory that could shrink")
        if "fence" in [field.key for field in fields] or wire.FENCE_KIND in fields:
            parser.add_argument("--pid", type=int, default=os.getpid(), help="whose end a pidfd is")
        for field in fields:
            if isinstance(field, wire.Items) and field.key == "fence":
                parser.add_argument("--fence", action="store_true")
                for term in wire.TERMS:
                    self.add_field(parser, term)
            elif isinstance(field, wire.Items):
                parser.add_argument(field.key, nargs="+", type=lambda text: self.value(text, "buffer", str))
            elif not isinstance(field, wire.Count):
                self.add_field(parser, field)

    def add_field(self, parser, field):
        if field.key is None:
            return

        def number(text):
            return duration(text) if getattr(field, "unit", "") == " ns" else int(text, 0)

        convert = str if isinstance(field, (wire.Id, wire.Text, wire.Choice, wire.Fourcc)) else number
        if isinstance(field, wire.Bits):
            def convert(text):
                return [name for name in text.split("+") if name]
        options = {"type": lambda text: self.value(text, field.key, convert)}
        if isinstance(field, wire.Choice):
            options["choices"] = list(field.codes)
        if field.default is None and not getattr(field, "optional", False):
            parser.add_argument(field.key, **options)
        else:
            parser.add_argument(f"--{field.key}", default=field.default, **options)

    def value(self, text, key, convert):
        if not text.startswith("@"):
            return convert(text)
        if (text[1:] or key) not in self.latest:
            raise argparse.ArgumentTypeError(f"nothing was said about {text[1:] or key}")
        return self.latest[text[1:] or key]

    def values(self, arguments, latest_memory):
        """A request's values and descriptors, of which a fence is the last; they are the caller's."""
        values, descriptors = dict(vars(arguments)), []
        if "memfd" in values:
            old = [contents(memory) for memory in latest_memory] if arguments.copy else []
            arguments.memfd = [len(content) for content in old] or arguments.memfd
            values |= describe(arguments)
            for index, size in enumerate(values["memories"]):
                content = old[index] if old else arguments.content.encode()
                descriptors.append(make_memfd(size, content, not arguments.unsealed))
        if has_fence(arguments):
            descriptors.append(make_fence(arguments.kind, arguments.pid))
        if "fence" in values:
            terms = {term.key: values[term.key] for term in wire.TERMS if term.key}
            values["fence"] = [terms] if values["fence"] else []
        return values, descriptors


def has_fence(arguments):
    return arguments.command == "addFence" or getattr(arguments, "fence", False)


class Session:
    def __init__(self, registry):
        self.registry, self.commands, self.status = registry, Commands(), 0
        self.memory, self.fence = [], None
        self.asked, self.told = {}, []  # commands without an answer; notices that nobody waited for
        self.accesses, self.page_requests = collections.defaultdict(list), []  # the first by attachment
        if registry.pages:
            registry.pages.request = self.request_for_pages
        self.commands.latest |= registry.joined
        self.show("joined", registry.joined)

    def show(self, name, values, /, **others):
        print(json.dumps({"answer": name, **others, **values}), flush=True)

    def run(self, words):
        waits = words[-1] != "&"
        arguments = self.commands.parser.parse_args(words if waits else words[:-1])
        own = {"watch": self.watch, "until": self.until, "signal": self.signal, "peek": self.peek, "poke": self.poke,
               "drop": self.drop, "begin": self.begin, "end": self.end, "untilCutOff": self.until_cut_off}
        if arguments.command in own:
            return own[arguments.command](arguments)
        serial = self.request(arguments)
        if waits:
            self.wait_for({serial})

    def wait_for(self, serials):
        deadline = time.monotonic() + PATIENCE
        while not serials.isdisjoint(self.asked):
            self.take(deadline)

    def request(self, arguments):
        values, descriptors = self.commands.values(arguments, self.memory)
        try:
            serial = self.registry.ask(arguments.command, descriptors, **values)
        finally:
            if has_fence(arguments):
                self.fence = descriptors.pop()
            close_all(descriptors)
        self.asked[serial] = arguments.command
        return serial

    def take(self, deadline):
        """The next message, which is shown."""
        self.registry.take(deadline)
        self.show_what_came()

    def show_what_came(self):
        while self.registry.notices:
            notice = self.registry.notices.popleft()
            self.told.append(notice)
            print(json.dumps({"notice": notice.name, **notice.values}), flush=True)
        for serial in list(self.registry.answers):
            self.answered(self.asked.pop(serial), *self.registry.answer(serial))

    def answered(self, command, message, received):
        self.commands.latest |= {key: value for key, value in message.values.items() if key != "status"}
        if received:
            close_all(self.memory)
            self.memory = received
        if message.name in RULED_OUT:
            self.status = 4
        if "word" in message.values and not self.registry.pages.take(message.values):
            raise Ended("unexpected", "a word outside of its page")
        self.show(message.name, message.values, to=command)

    def watch(self, arguments):
        deadline = time.monotonic() + arguments.seconds
        try:
            while True:
                self.take(deadline)
        except Ended as end:
            if end.reason != "deadline":
                raise

    def until(self, arguments):
        """Also one that came before, but each only once. What it says can be used as what an answer says."""
        deadline = time.monotonic() + PATIENCE
        while arguments.notice not in (names := [notice.name for notice in self.told]):
            self.take(deadline)
        self.commands.latest |= self.told[names.index(arguments.notice)].values
        del self.told[names.index(arguments.notice)]

    def signal(self, _):
        os.eventfd_write(self.fence, 1)

    def peek(self, arguments):
        self.show("peeked", {"bytes": contents(self.memory[0])[:arguments.count].hex()}, to="peek")

    def poke(self, arguments):
        with mapped(self.memory[0]) as view:
            view[:len(arguments.text.encode())] = arguments.text.encode()

    def drop(self, _):
        close_all(self.memory)
        self.memory = []

    def begin(self, arguments):
        self.page_requests = []
        try:
            deadline = time.monotonic() + arguments.within / 10**9
            access = self.registry.pages.begin(arguments.attachment, arguments.access, deadline)
            self.accesses[arguments.attachment].append(access)
            said = {"state": "inside", "generation": access.generation}
        except pages.NotBegun as refusal:
            said = {"state": refusal.why, **refusal.values}
        self.show("begun", {**said, "asked": self.page_requests}, to="begin")
        self.show_what_came()

    def end(self, arguments):
        self.page_requests = []
        state = self.registry.pages.end(arguments.attachment, self.accesses[arguments.attachment].pop(0))
        self.show("ended", {"state": state, "asked": self.page_requests}, to="end")
        self.show_what_came()

    def request_for_pages(self, name, /, **values):
        """What the pages could not say is asked for, and written down."""
        self.page_requests.append(name)
        return self.registry.request_values(name, **values)

    def until_cut_off(self, _):
        """The farewell is unread then: the page alone has said it. Nobody is woken for this word, so it is looked at."""
        deadline = time.monotonic() + PATIENCE
        while self.registry.pages.is_served():
            if time.monotonic() > deadline:
                raise Ended("deadline", "the connection's word does not change", 124)
            time.sleep(0.001)

    def lines(self):
        """Lines of standard input; while none comes, what comes from the registry is shown."""
        rest = b""
        while True:
            ready, _, _ = select.select([0, self.registry.socket], [], [])
            if self.registry.socket in ready:
                self.take(time.monotonic() + PATIENCE)
            if 0 in ready:
                data = os.read(0, 4096)
                *lines, rest = (rest + data).split(b"\n") if data else [rest, b""]
                yield from (line.decode() for line in lines)
                if not data:
                    return


# MARK: Fixtures


def check_fixture(path):
    """What is wrong with an annotated message: nothing, if it is decoded and written back, or refused as its `!` line says."""
    data, descriptors, expected = b"", 0, ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("@"):
                descriptors = int(line.split()[2])
            elif line.startswith("!"):
                expected = line[1:].strip()
            elif not line.startswith("#"):
                data += bytes.fromhex(line.split("|")[0])
    try:
        message = wire.decode(data, descriptors)
        if expected:
            return f"is taken, and should be {expected}"
        return "" if wire.encode(message) == data else "is written otherwise"
    except wire.Malformed as error:
        return "" if str(error) == expected else f"is {error}, and should be {expected or 'taken'}"


def check_fixtures(paths):
    problems = [f"{path} {problem}" for path in paths if (problem := check_fixture(path))]
    print("\n".join(problems) if problems else f"{len(paths)} messages")
    return 1 if problems else 0


def split(words, mark=","):
    """The words between marks."""
    return [list(group) for is_mark, group in itertools.groupby(words, lambda word: word == mark) if not is_mark]


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--socket", default=None)
    parser.add_argument("--secret", default=None)
    parser.add_argument("--pages", action="store_true", help="use control pages if the registry has them")
    parser.add_argument("--uid", type=int, help="become this user first, with a group of the same number (as root)")
    parser.add_argument("--help", action="store_true")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.help or not options.words:
        print(__doc__ + "\n" + Commands().parser.format_help())
        return 0 if options.help else 64
    if options.words[0] == "fixtures":
        return check_fixtures(options.words[1:])
    registry = None
    try:
        if options.uid is not None:
            os.setgroups([])
            os.setresgid(options.uid, options.uid, options.uid)
            os.setresuid(options.uid, options.uid, options.uid)
        registry = Registry(options.socket, options.secret, with_pages=options.pages)
        session = Session(registry)
        from_input = options.words == ["-"]
        for command in (map(shlex.split, session.lines()) if from_input else split(options.words)):
            if command == ["quit"]:
                break
            if command:
                session.run(command)
        session.wait_for(set(session.asked))
        registry.close()
        return session.status
    except (ValueError, wire.Malformed) as error:
        print(error, file=sys.stderr)
        return 64
    except Ended as end:
        print(end, file=sys.stderr)
        if registry:
            registry.close(end.reason, str(end))
        return end.status
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
