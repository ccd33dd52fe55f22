# SPDX-License-Identifier: Apache-2.0
"""The messages of the registry as PROTOCOL.md has them: tables of fields, and what reads and writes them.

    decode(data, descriptor_count) -> Message       encode(message) -> bytes       annotate(message) -> lines of a fixture

A message's values are a dict of what JSON has: numbers, hexadecimal strings for identities and tokens (None is none), names for
values that a table of the page names, lists. Every rule that can be told from the bytes alone is checked in both directions.
"""

import dataclasses
import re

MESSAGE_LIMIT = 16384
OWN_UID = 0xFFFFFFFF
UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Malformed(Exception):
    """A protocol error. `error` and `field` are the names that the fixtures use."""

    def __init__(self, error, field=""):
        super().__init__(f"{error} {field}".strip())
        self.error = error


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Malformed("tooShort")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


class Writer:
    """Collects fields with what they mean. `place` says which of several they belong to: "memory 0"."""

    def __init__(self):
        self.fields, self.place, self.bare = [], "", False

    def put(self, data, key, meaning, code=None):
        if not self.place:
            meaning = f"{key}: {meaning}" if code is None else f"{key} {code}: {meaning}"
        elif self.bare:
            meaning = f"{self.place}: {meaning}"
        else:
            meaning = f"{self.place}: {key} {meaning}" if code is None else f"{self.place}: {key} {code}, {meaning}"
        self.fields.append((data, meaning))

    def number(self, value, size, key, meaning, code=None):
        self.put(value.to_bytes(size, "little"), key, meaning, code)

    def pad(self, size):
        self.fields.append((bytes(size), "reserved"))


# MARK: Kinds of fields. Each reads itself from `r` into the dict `v`, and writes itself from `v` to `w`.


class Number:
    def __init__(self, key, size, low=0, high=None, default=None, unit="", zero=None):
        self.key, self.size, self.low, self.default, self.unit, self.zero = key, size, low, default, unit, zero
        self.high = 256**size - 1 if high is None else high

    def read(self, r, v):
        v[self.key] = r.number(self.size)
        if not self.low <= v[self.key] <= self.high:
            raise Malformed("invalidValue", self.key)

    def write(self, w, v):
        value = v[self.key]
        w.number(value, self.size, self.key, self.zero if self.zero and value == 0 else f"{value}{self.unit}")


class Uid(Number):
    def __init__(self, key, own=False):
        super().__init__(key, 4, default=OWN_UID if own else None)
        self.own = own

    def write(self, w, v):
        w.number(v[self.key], 4, self.key, "own" if self.own and v[self.key] == OWN_UID else str(v[self.key]))


class Modifier(Number):
    def write(self, w, v):
        w.number(v[self.key], 8, self.key, hex(v[self.key]))


class Fourcc:
    """Four characters, or None for zeros."""

    default = None

    def __init__(self, key, optional=False):
        self.key, self.optional = key, optional

    def read(self, r, v):
        data = r.take(4)
        v[self.key] = data.decode("latin-1") if any(data) else None

    def write(self, w, v):
        value = v[self.key]
        w.put((value or "\0\0\0\0").encode("latin-1"), self.key, f'"{value}"' if value else "none")


class Choice:
    def __init__(self, key, size, names, default=None, noun=None):
        self.key, self.size, self.default, self.noun = key, size, default, noun or key
        self.names = names if isinstance(names, dict) else dict(enumerate(names))
        self.codes = {name: code for code, name in self.names.items()}

    def read(self, r, v):
        code = r.number(self.size)
        if code not in self.names:
            raise Malformed("invalidValue", self.noun)
        v[self.key] = self.names[code]

    def write(self, w, v):
        code = self.codes.get(v[self.key], v[self.key])
        w.number(code, self.size, self.key, self.names.get(code, "no such"), code)


class Bits:
    def __init__(self, key, names, default=None):
        self.key, self.names, self.default = key, names, default

    def read(self, r, v):
        bits = r.number(1)
        if bits >> len(self.names):
            raise Malformed("reservedBits", self.key)
        v[self.key] = [name for bit, name in enumerate(self.names) if bits >> bit & 1]

    def write(self, w, v):
        names = v[self.key]
        w.number(sum(1 << self.names.index(name) for name in names), 1, self.key, " + ".join(names) or "none")


class Id:
    """128 bits as hexadecimal digits; None stands for zeros, where they are allowed."""

    def __init__(self, key, optional=False, default=None, any=False):
        self.key, self.optional, self.default, self.any = key, optional, default, any

    def read(self, r, v):
        data = r.take(16)
        if not any(data) and not self.optional and not self.any:
            raise Malformed("invalidValue", self.key)
        v[self.key] = data.hex() if any(data) or self.any else None

    def write(self, w, v):
        value = v[self.key]
        w.put(bytes.fromhex(value or "00" * 16), self.key, value or "none")


class Pad:
    key = None

    def __init__(self, size):
        self.size = size

    def read(self, r, v):
        if any(r.take(self.size)):
            raise Malformed("reservedBits", "reserved")

    def write(self, w, v):
        w.pad(self.size)


class Count:
    """How many of `key` follow later: items of a list, or bytes of a text."""

    def __init__(self, key, size, low, high, noun):
        self.key, self.size, self.low, self.high, self.noun = key, size, low, high, noun

    def read(self, r, v):
        v[self.key] = r.number(self.size)
        if not self.low <= v[self.key] <= self.high:
            raise Malformed("invalidValue", self.noun)

    def write(self, w, v):
        value = v[self.key]
        if isinstance(value, str):
            w.number(len(value.encode()), self.size, self.noun, f"{len(value.encode())} bytes")
        else:
            w.number(len(value), self.size, self.noun, str(len(value)))


class Text:
    def __init__(self, key, default=None):
        self.key, self.default = key, default

    def read(self, r, v):
        try:
            text = r.take(v[self.key]).decode()
        except UnicodeDecodeError:
            raise Malformed("invalidText", self.key) from None
        if UNCLEAN.search(text):
            raise Malformed("invalidText", self.key)
        v[self.key] = text

    def write(self, w, v):
        if v[self.key]:
            w.put(v[self.key].encode(), self.key, f'"{v[self.key]}"')


class Items:
    """As many as `Count` said. An item of one value is that value, not a dict of it."""

    def __init__(self, key, noun, fields):
        self.key, self.noun, self.fields = key, noun, fields
        keys = {field.key for field in fields if field.key}
        self.bare = keys.pop() if len(keys) == 1 else None

    def read(self, r, v):
        items = []
        for _ in range(v[self.key]):
            item = read(self.fields, r)
            items.append(item[self.bare] if self.bare else item)
        v[self.key] = items

    def write(self, w, v):
        outer = w.place, w.bare
        for index, item in enumerate(v[self.key]):
            w.place, w.bare = f"{outer[0]} {self.noun} {index}".strip(), self.bare and len(self.fields) == 1
            write(self.fields, w, {self.bare: item} if self.bare else item)
        w.place, w.bare = outer


class Group:
    """Fields of their own under one key."""

    def __init__(self, key, fields):
        self.key, self.fields = key, fields

    def read(self, r, v):
        v[self.key] = read(self.fields, r)

    def write(self, w, v):
        write(self.fields, w, v[self.key])


class Case:
    """The fields that the value of `key` has behind it."""

    key = None

    def __init__(self, on, cases):
        self.on, self.cases = on, cases

    def read(self, r, v):
        v.update(read(self.cases.get(v[self.on], []), r))

    def write(self, w, v):
        write(self.cases.get(v[self.on], []), w, v)


class Rule:
    """What must hold between fields that have been read."""

    key = None

    def __init__(self, holds, error, field=""):
        self.holds, self.error, self.field = holds, error, field

    def read(self, r, v):
        if not self.holds(v):
            raise Malformed(self.error, self.field)

    def write(self, w, v):
        pass


def read(fields, r):
    values = {}
    for field in fields:
        field.read(r, values)
    return values


def write(fields, w, values):
    for field in fields:
        field.write(w, values)


# MARK: The page's field types


def handle(key, default=None):
    """A number that is never 0: a generation, an attachment, a fence, a lock, a client."""
    return Number(key, 8, low=1, default=default)


def maybe(key, default=0):
    return Number(key, 8, default=default, zero="none")


def interval(key, default=None, zero=None):
    return Number(key, 8, default=default, unit=" ns", zero=zero)


def time(key):
    return Number(key, 8, unit=" ns")


def count(key, noun, size, limit, item):
    """A count, the pad that brings it to 8 bytes, and the items."""
    return [Count(key, size, 0, limit, f"{noun} count"), Pad(8 - size), Items(key, noun, item)]


BUFFER = Id("buffer", any=True)
TOKEN = Id("token", optional=True)
ATTACHMENT = handle("attachment")
GENERATION = handle("generation")
RIGHTS = Bits("rights", ["attachRead", "attachWrite", "fence", "pin", "move", "revoke", "delegate", "inspect"])
ACCESS = Choice("access", 1, {1: "read", 2: "write", 3: "both"}, default="both")
USAGE = Choice("usage", 1, ["kernel", "write", "read", "bookkeep"], default="write")
KEPT = Choice("kept", 1, ["client", "attachments", "withdrawn"], default="client")
NAME = [Count("name", 1, 1, 255, "name length"), Text("name")]
HOLDER = [ATTACHMENT, maybe("client")]
HOLDERS = count("holders", "holder", 2, 64, HOLDER)
FENCES = count("fences", "fence", 2, 1024, [handle("fence")])
STATUS = [Group("status", [
    Choice("status", 1, ["pending", "ok", "error", "ownerDead"]), Pad(3), Number("errno", 4),
    Rule(lambda v: v["status"] != "error" or 1 <= v["errno"] <= 4095, "invalidValue", "errno"),
    Rule(lambda v: v["status"] == "error" or v["errno"] == 0, "reservedBits", "errno")])]
FENCE_KIND = Choice("kind", 1, {1: "sync_file", 2: "eventfd", 3: "pidfd"}, "eventfd", "fence kind")
TERMS = [
    Number("point", 8, default=1), interval("within", 10**9), Number("timeline", 4, default=1), USAGE,
    FENCE_KIND, Pad(2)]
MAYBE_FENCE = [Count("fence", 1, 0, 1, "fence count"), Pad(7), Items("fence", "fence", TERMS)]
ATTACH_TERMS = [
    TOKEN, interval("lease", 0, zero="none"), ACCESS,
    Choice("mobility", 1, ["movable", "revocable", "pinned"], default="movable"), Pad(6)]
CONTENT = Choice("content", 1, {1: "bytes", 2: "image"})
BACKING = Choice("backing", 1, {1: "dma-buf", 2: "memfd"})
COUNTS = [Count("memories", 1, 1, 4, "memory count"), Count("planes", 1, 0, 4, "plane count")]
GEOMETRY = [Number("width", 4), Number("height", 4), Fourcc("fourcc")]
MODIFIER = Modifier("modifier", 8)
DESCRIBED = [
    Rule(lambda v: v["content"] == "image" or not any(v[key] for key in ("width", "height", "fourcc", "modifier")),
         "reservedBits", "image fields of plain bytes"),
    Rule(lambda v: v["content"] == "image" or (v["memories"], v["planes"]) == (1, 0), "description"),
    Items("memories", "memory", [Number("size", 8, unit=" bytes")]),
    Items("planes", "plane", [Number("memory", 4), Number("stride", 4), Number("offset", 8)])]
FORMATS = {name.ljust(4) for name in (
    "R8 R16 RG16 BG16 XR15 AR15 XR12 AR12 GR88 RG88 RG24 BG24 XR24 AR24 XB24 AB24 RX24 RA24 BX24 BA24 XR30 AR30 XB30 AB30 "
    "GR32 XR48 AR48 XB48 AB48 XR4H AR4H XB4H AB4H YUYV YVYU UYVY VYUY NV12 NV21 NV16 NV61 NV24 NV42 P010 P012 P016 YU12 YV12 "
    "YU16 YV16 YU24 YV24").split()}
BUFFER_REQUEST = [
    Number("bytes", 8, default=0), Number("width", 4, default=0), Number("height", 4, default=0),
    Fourcc("fourcc", optional=True), Pad(4),
    Rule(lambda v: v["fourcc"] or v["width"] == v["height"] == 0, "reservedBits", "image fields of plain bytes"),
    Rule(lambda v: not v["fourcc"] or v["bytes"] == 0, "reservedBits", "bytes of an image"),
    Rule(lambda v: not v["fourcc"] or v["fourcc"] in FORMATS, "invalidValue", "fourcc")]
EXPORTER = Count("exporter", 1, 0, 64, "exporter length")
EXPORTER_TEXT = Text("exporter", default="")
MEMORIES = [CONTENT, BACKING, *COUNTS, *GEOMETRY, MODIFIER, *DESCRIBED]
ENTRY = [
    BUFFER, GENERATION, Number("bytes", 8), Uid("owner"), Number("attachments", 4), KEPT,
    Bits("state", ["moving", "quarantined", "withdrawn", "pinned", "locked"]), Count("names", 1, 0, 4, "name count"), Pad(5),
    Items("names", "name", NAME)]
GRANTED = [BUFFER, ATTACHMENT, GENERATION, *STATUS, Number("pending fences", 4), Pad(4)]
ATTACHED = [*GRANTED, *MEMORIES]
WITH_WORD = [
    *GRANTED, Number("stamp", 8, low=4), Rule(lambda v: v["stamp"] % 4 == 0, "invalidValue", "stamp"), Number("slot", 4),
    Number("word", 4), *MEMORIES]
PAGES = [item for page in ("published bytes", "own bytes") for item in (
    Number(page, 4, low=8, high=1 << 24),
    Rule(lambda v, page=page: v[page] % 8 == 0, "invalidValue", page))] + [
    Number("connection", 4), Rule(lambda v: v["connection"] < v["published bytes"] // 8, "invalidValue", "connection"), Pad(4)]
REASONED = [Count("text", 2, 0, 512, "text length"), Pad(2), Text("text")]
FAREWELLS = ["done", "malformed", "version", "descriptorsLost", "deadline", "unexpected", "slowReader", "ignoredRevoke",
             "ignoredLease", "unserved", "leaving", "full"]
REFUSALS = {1: "wrongKind", 2: "description", 3: "unsealed", 4: "unwanted", 5: "failed", 6: "unavailable"}

LOCK = [maybe("lock")]
TIME = [time("until")]
PRESENT = [GENERATION]
MISSING = [RIGHTS, Pad(7)]
RULES = {  # number: name and what it has
    1: ("stale", PRESENT), 2: ("overflowUID", []), 3: ("numberTaken", []), 10: ("noSuchBuffer", []),
    11: ("noSuchAttachment", []), 12: ("noSuchToken", []), 13: ("forbidden", MISSING), 14: ("notTheOwner", []),
    15: ("tokenTooWide", MISSING), 16: ("nameTaken", []), 17: ("deniedByPolicy", [Number("line", 4), Pad(4)]),
    20: ("bufferEnded", []), 21: ("quarantined", HOLDERS), 22: ("settling", TIME),
    30: ("revoked", []), 31: ("dead", []), 32: ("notInAccess", []), 33: ("malformed", []), 40: ("pinned", HOLDERS),
    41: ("moving", TIME), 42: ("notMoving", []), 43: ("notTheMover", []), 44: ("notOwed", PRESENT),
    45: ("twoInQuarantine", HOLDERS), 46: ("wrongSize", [Number("bytes", 8)]), 47: ("sameMemory", []),
    50: ("beingRevoked", TIME), 60: ("notReserved", []), 61: ("noSlots", [Number("limit", 4), Pad(4)]),
    62: ("notLater", [Number("point", 8)]), 63: ("tooLong", [interval("limit")]), 64: ("timedOut", FENCES),
    65: ("noSuchFence", []),
    70: ("locked", [handle("lock")]), 71: ("holdsLock", [handle("lock")]), 72: ("lockEnded", []), 73: ("lockTimedOut", LOCK),
    80: ("overQuota", [
        Choice("resource", 1, ["buffers", "bytes", "descriptors", "pinnedBytes", "attachments", "quarantinedBytes", "notices"]),
        Pad(3), Uid("largest"), Number("limit", 8), Number("share", 8), Number("remaining", 8), Number("uids", 8)]),
    81: ("tooMany", [
        Choice("what", 1, ["clients", "names", "shares", "tokens", "delegations", "buffersOfLock", "waits"], noun="bound"),
        Pad(3), Number("limit", 4)]),
    82: ("overCeiling", [
        Choice("resource", 1, ["buffers", "bytes", "descriptors", "pinnedBytes", "attachments", "quarantinedBytes", "notices"]),
        Pad(3), Number("line", 4), Number("limit", 8), Number("share", 8)])}


# MARK: The messages


@dataclasses.dataclass(frozen=True)
class Layout:
    name: str
    fields: list
    answer: str = ""  # of a request
    fds: object = ()  # keys of the lists whose items bring a descriptor each, or a number

    def descriptors(self, values):
        return self.fds if isinstance(self.fds, int) else sum(len(values[key]) for key in self.fds)


MESSAGES = {
    0x0001: Layout("hello", [
        Fourcc("magic"), Rule(lambda v: v["magic"] == "DMBS", "magic"), Number("version", 2),
        Rule(lambda v: v["version"] == 1, "version"), Pad(2), Modifier("features", 8)]),
    0x0002: Layout("farewell", [Choice("reason", 4, FAREWELLS), *REASONED]),
    0x0010: Layout("offer", [
        CONTENT, BACKING, ACCESS, Bits("flags", ["checksum"]), *COUNTS, Count("fences", 1, 0, 16, "fence count"),
        Count("name", 1, 0, 64, "name length"), *GEOMETRY, Pad(4), MODIFIER, Modifier("checksum", 8),
        Rule(lambda v: "checksum" in v["flags"] or v["checksum"] == 0, "reservedBits", "checksum"), *DESCRIBED,
        Items("fences", "fence", [FENCE_KIND, USAGE, Pad(2), Pad(4), interval("within")]), Text("name")],
        fds=["memories", "fences"]),
    0x8010: Layout("accepted", []),
    0x8011: Layout("refused", [Choice("reason", 4, REFUSALS), *REASONED]),
    # Requests
    0x0100: Layout("join", [Id("secret", optional=True)], "joined"),
    0x0110: Layout("register", [
        KEPT, Count("name", 1, 0, 255, "name length"), Pad(6), *MEMORIES, Text("name", default="")],
        "registered", ["memories"]),
    0x0111: Layout("withdraw", [BUFFER], "done"),
    0x0112: Layout("inspect", [BUFFER, TOKEN], "inspected"),
    0x0113: Layout("list", [Number("cursor", 4, default=0)], "listed"),
    0x0114: Layout("allocate", [
        KEPT, Count("name", 1, 0, 255, "name length"), EXPORTER, Pad(5), *BUFFER_REQUEST, EXPORTER_TEXT, Text("name", default="")],
        "registered"),
    0x0120: Layout("name", [BUFFER, *NAME], "done"),
    0x0121: Layout("share", [
        BUFFER, Number("number", 4, default=0), Choice("audience", 1, {1: "uid", 2: "gid", 3: "everyone"}), RIGHTS, Pad(2),
        Rule(lambda v: v["audience"] != "everyone" or v["number"] == 0, "reservedBits", "number of everyone")], "done"),
    0x0122: Layout("lookup", [Uid("uid", own=True), *NAME], "found"),
    0x0130: Layout("makeToken", [
        Id("token"), BUFFER, Id("parent", optional=True), interval("lasts", 0, zero="without end"),
        Number("uses", 4, default=0, zero="any number"), RIGHTS, Pad(3)], "done"),
    0x0131: Layout("withdrawToken", [Id("token")], "tokenWithdrawn"),
    0x0140: Layout("attach", [BUFFER, *ATTACH_TERMS], "attached"),
    0x0141: Layout("attachNamed", [*ATTACH_TERMS, Uid("uid", own=True), *NAME], "attached"),
    0x0142: Layout("map", [ATTACHMENT], "mapped"),
    0x0143: Layout("detach", [ATTACHMENT], "done"),
    0x0144: Layout("pin", [ATTACHMENT], "done"),
    0x0145: Layout("unpin", [ATTACHMENT], "done"),
    0x0146: Layout("renew", [ATTACHMENT, interval("lease")], "done"),
    0x0147: Layout("beginAccess", [ATTACHMENT, GENERATION, ACCESS, Pad(7)], "done"),
    0x0148: Layout("endAccess", [ATTACHMENT], "accessEnded"),
    0x0150: Layout("beginMove", [
        BUFFER, GENERATION, TOKEN, interval("within", 10**9), maybe("lock"), Choice("late", 1, ["abort", "cutOff"], "abort"),
        Choice("copier", 1, ["mover", "registry"], "mover"), EXPORTER, Pad(5), EXPORTER_TEXT], "moveBegun"),
    0x0151: Layout("acknowledge", [ATTACHMENT, GENERATION, *MAYBE_FENCE], "done", ["fence"]),
    0x0152: Layout("refuseMove", [ATTACHMENT, GENERATION], "done"),
    0x0153: Layout("commitMove", [BUFFER, GENERATION, *MAYBE_FENCE, *MEMORIES], "done", ["memories", "fence"]),
    0x0154: Layout("abortMove", [BUFFER, GENERATION], "done"),
    0x0160: Layout("revoke", [
        BUFFER, TOKEN, interval("within", 10**9), Number("attachment", 8, default=0, zero="everyone's"),
        Bits("flags", ["forGood", "cutOff"], []), Pad(7)], "revoked"),
    0x0161: Layout("acknowledgeRevoke", [ATTACHMENT], "done"),
    0x0162: Layout("restore", [ATTACHMENT], "done"),
    0x0170: Layout("reserve", [ATTACHMENT, Number("slots", 4, default=1), Pad(4)], "done"),
    0x0171: Layout("addFence", [ATTACHMENT, maybe("lock"), *TERMS], "fenceAdded", 1),
    0x0172: Layout("snapshot", [ATTACHMENT, USAGE, Pad(7)], "snapshot"),
    0x0173: Layout("wait", [ATTACHMENT, interval("within", 10**9), USAGE, Pad(7)], "waited"),
    0x0174: Layout("lock", [
        interval("within", 10**9), interval("lasting", 10**9), *count("buffers", "buffer", 2, 256, [BUFFER])], "locked"),
    0x0175: Layout("unlock", [handle("lock")], "done"),
    0x0176: Layout("renewFence", [ATTACHMENT, interval("within", 10**9), Number("timeline", 4, default=1), Pad(4)], "done"),
    # Answers
    0x8100: Layout("joined", [handle("client"), Id("secret"), Number("run", 8)]),
    0x8103: Layout("joinedWithPages", [handle("client"), Id("secret"), Number("run", 8), *PAGES], fds=2),
    0x8101: Layout("done", []),
    0x8102: Layout("ruledOut", [
        Choice("rule", 2, {number: name for number, (name, _) in RULES.items()}), Pad(6), Case("rule", dict(RULES.values()))]),
    0x8110: Layout("registered", [BUFFER, GENERATION]),
    0x8112: Layout("inspected", [
        Group("entry", ENTRY), Number("inode", 8), Number("bytes", 8), Number("descriptors", 4), Bits("flags", ["countProves"]),
        Pad(3), *STATUS, Number("pending fences", 4), Pad(4), *HOLDERS,
        *count("quarantined", "quarantine", 2, 4, [GENERATION]), *MEMORIES]),
    0x8113: Layout("listed", [
        Number("next", 4, zero="the end"), Count("entries", 2, 0, 12, "buffer count"), Pad(2), Items("entries", "entry", ENTRY)]),
    0x8122: Layout("found", [BUFFER, GENERATION]),
    0x8131: Layout("tokenWithdrawn", [Number("tokens", 4), Number("attachments", 4)]),
    0x8140: Layout("attached", ATTACHED, fds=["memories"]),
    0x8142: Layout("mapped", ATTACHED, fds=["memories"]),
    0x8149: Layout("attachedWithWord", WITH_WORD, fds=["memories"]),
    0x814a: Layout("mappedWithWord", WITH_WORD, fds=["memories"]),
    0x8148: Layout("accessEnded", [Choice("state", 1, ["ok", "revoked", "dead"]), Pad(7)]),
    0x8150: Layout("moveBegun", [GENERATION, *TIME]),
    0x8160: Layout("revoked", [
        Choice("level", 1, {1: "enforced", 2: "cooperative", 3: "unconfirmed"}), Pad(7),
        Case("level", {"unconfirmed": HOLDERS})]),
    0x8171: Layout("fenceAdded", [handle("fence")]),
    0x8172: Layout("snapshot", [*STATUS, *FENCES]),
    0x8173: Layout("waited", STATUS),
    0x8174: Layout("locked", [handle("lock"), *TIME]),
    # Notices
    0x4110: Layout("attachmentEnded", [ATTACHMENT, BUFFER]),
    0x4111: Layout("ownerGone", [ATTACHMENT, BUFFER]),
    0x4112: Layout("withdrawn", [ATTACHMENT, BUFFER]),
    0x4113: Layout("quarantined", [BUFFER, GENERATION]),
    0x4114: Layout("released", [BUFFER, GENERATION, Bits("flags", ["verified"]), Pad(7)]),
    0x4150: Layout("invalidate", [ATTACHMENT, BUFFER, GENERATION, *TIME]),
    0x4151: Layout("moving", [ATTACHMENT, BUFFER, GENERATION]),
    0x4152: Layout("moved", [ATTACHMENT, BUFFER, GENERATION]),
    0x4153: Layout("moveAborted", [ATTACHMENT, BUFFER, GENERATION]),
    0x4154: Layout("readyToCopy", [BUFFER, GENERATION, *TIME, *STATUS]),
    0x4155: Layout("moveEnded", [
        BUFFER, Choice("outcome", 1, [
            "moved", "late", "refused", "aborted", "copyFailed", "copyLate", "bufferEnded", "quarantined",
            "tokenEnded"]), Pad(7),
        Case("outcome", {"moved": [GENERATION, *HOLDERS], "late": HOLDERS, "refused": HOLDER})]),
    0x4160: Layout("revoke", [ATTACHMENT, BUFFER, *TIME, Bits("flags", ["forGood"]), Pad(7)]),
    0x4161: Layout("revoked", [ATTACHMENT, BUFFER, Choice("state", 1, {1: "revoked", 2: "dead"}), Pad(7)]),
    0x4162: Layout("restored", [ATTACHMENT, BUFFER]),
    0x4170: Layout("fenceExpired", [handle("fence"), BUFFER]),
    0x4171: Layout("lockEnded", [handle("lock")]),
}
REQUESTS = {layout.name: opcode for opcode, layout in MESSAGES.items() if layout.answer}


@dataclasses.dataclass
class Message:
    opcode: int
    serial: int
    values: dict

    @property
    def name(self):
        return MESSAGES[self.opcode].name

    @property
    def is_answer(self):
        return bool(self.opcode & 0x8000)

    @property
    def is_notice(self):
        return bool(self.opcode & 0x4000)


def decode(data, descriptor_count):
    """The message of one datagram that came with so many descriptors."""
    r = Reader(data)
    opcode, stated, size, serial = (r.number(size) for size in (2, 2, 4, 8))
    if len(data) > MESSAGE_LIMIT:
        raise Malformed("tooLong")
    if size != len(data):
        raise Malformed("sizeMismatch")
    if opcode not in MESSAGES:
        raise Malformed("unknownOpcode")
    message = Message(opcode, serial, {})
    message.values = read(MESSAGES[opcode].fields, r)
    if r.at != len(data):
        raise Malformed("trailingBytes", str(len(data) - r.at))
    if stated != MESSAGES[opcode].descriptors(message.values):
        raise Malformed("descriptorCount")
    if stated != descriptor_count:
        raise Malformed("descriptorsMissing")
    if message.is_notice and serial != 0:
        raise Malformed("reservedBits", "serial of a notice")
    return message


def fields_of(message):
    """The message as (bytes, meaning) of one field after the other."""
    layout, body = MESSAGES[message.opcode], Writer()
    write(layout.fields, body, message.values)
    size, descriptors = 16 + sum(len(data) for data, _ in body.fields), layout.descriptors(message.values)
    head = Writer()
    head.number(message.opcode, 2, "opcode", message.name, f"{message.opcode:#06x}")
    head.number(descriptors, 2, "descriptors", str(descriptors))
    head.number(size, 4, "size", str(size))
    head.number(message.serial, 8, "serial", "none" if message.is_notice else str(message.serial))
    return head.fields + body.fields


def encode(message):
    data = b"".join(data for data, _ in fields_of(message))
    decode(data, MESSAGES[message.opcode].descriptors(message.values))  # nothing malformed is sent
    return data


def annotate(fields):
    """Lines as in fixtures/wire: 16 bytes at most, and what they mean."""
    for data, meaning in fields:
        label, quote, text = meaning.partition('"')
        for at in range(0, len(data), 16):
            part = data[at:at + 16]
            if quote and len(data) > 16:
                meaning = f"{label if at == 0 else '  '}\"{part.decode()}\""
            yield f"{part.hex(' '):<47} | {meaning}"
