# SPDX-License-Identifier: Apache-2.0
"""Control pages as PROTOCOL.md has them: accesses that begin and end without a message.

How far Python is good enough for this. It has no atomic type and no fence, so both come from below. A load or a store of one
aligned 64-bit word through ctypes is one move of eight bytes in C, which the 64-bit processors of today make whole; the interpreter makes them in
the order in which they are written. Two of them may still pass each other on their way to memory, a load before an older store
also on x86: `fence` has the kernel forbid it. An increment is a load and a store, so one thread alone may begin and end accesses here.
"""

import ctypes
import dataclasses
import fcntl
import mmap
import os
import platform
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
MEMBARRIER, FUTEX = {"x86_64": (324, 202), "aarch64": (283, 98)}.get(platform.machine(), (None, None))
GLOBAL_EXPEDITED, FUTEX_WAIT = 2, 0
FAILED = ctypes.c_void_p(-1).value
F_SEAL_FUTURE_WRITE = 0x10  # the standard library does not know it yet

MOVING, FENCES = 1, 2
FLAGS = MOVING | FENCES
REGISTRY_GONE = 1 << 30


def fence():
    """A full barrier. This command of membarrier's (Linux 4.16) is one for its caller too, even if that is its process's
    only thread, which the private ones are not."""
    if LIBC.syscall(MEMBARRIER, GLOBAL_EXPEDITED, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "membarrier")


def can_fence():
    """Who cannot does not name the feature: pages are optional."""
    return sys.byteorder == "little" and MEMBARRIER is not None and (
        max(0, LIBC.syscall(MEMBARRIER, 0, 0, 0)) & GLOBAL_EXPEDITED != 0)


class Page:
    """The words of one page, after it was found to be what nobody can take away."""

    def __init__(self, descriptor, size, published):
        self.check(descriptor, size, published)
        access = mmap.PROT_READ | (0 if published else mmap.PROT_WRITE)
        self.size, self.address = size, LIBC.mmap(None, size, access, mmap.MAP_SHARED, descriptor, 0)
        if self.address == FAILED or LIBC.madvise(self.address, size, mmap.MADV_DONTFORK) != 0:
            raise OSError(ctypes.get_errno(), "a control page")
        self.words = (ctypes.c_uint64 * (size // 8)).from_address(self.address)

    @staticmethod
    def check(descriptor, size, published):
        """Raises ValueError. The order matters: a file that is no memfd may answer nothing, ever."""
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("/memfd:"):
            raise ValueError("a control page is no memfd")
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        except OSError:
            raise ValueError("a control page is no memfd") from None
        needed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        if published:
            needed |= F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
        if seals & needed != needed:
            raise ValueError(f"a control page has the seals {seals:#x} and not {needed:#x}")
        if os.fstat(descriptor).st_size != size or (published and size < 64):
            raise ValueError(f"a control page has not the {size} bytes that were stated")

    def wait_for_change(self, index, value, seconds):
        """Until the low half of the word is not that of `value`; it may also end for no reason."""
        limit = (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 10**9))
        LIBC.syscall(FUTEX, ctypes.c_void_p(self.address + 8 * index), FUTEX_WAIT, ctypes.c_uint32(value), limit, None, 0)


@dataclasses.dataclass
class Held:
    """What an attachment has of the pages. Slot and word stay; the others are of what was mapped last."""

    attachment: int
    slot: int
    word: int
    generation: int
    stamp: int


@dataclasses.dataclass(frozen=True)
class Access:
    generation: int
    stamp: int


class NotBegun(Exception):
    """`why` is a rule's name, or one of the page's: cutOff, registryGone."""

    def __init__(self, why, values=None):
        super().__init__(why)
        self.why, self.values = why, values or {}


class Pages:
    """Begin and end. `request` asks the registry and returns the answer's name and values; most accesses never call it."""

    def __init__(self, joined, descriptors, request):
        self.published = Page(descriptors[0], joined["published bytes"], published=True)
        self.own = Page(descriptors[1], joined["own bytes"], published=False)
        self.client, self.connection, self.request = joined["client"], joined["connection"], request
        self.held = {}

    def take(self, values):
        """What *attachedWithWord* or *mappedWithWord* says; False if it makes no sense."""
        key = values["attachment"]
        if values["slot"] >= len(self.published.words) or values["word"] >= len(self.own.words):
            return False
        if key not in self.held:
            self.own.words[values["word"]] = 0
            self.held[key] = Held(key, values["slot"], values["word"], 0, 0)
        self.held[key].generation, self.held[key].stamp = values["generation"], values["stamp"]
        return True

    def add(self, held, count):
        """To the word, and then what the registry says: (is this client still served, the slot)."""
        self.own.words[held.word] += count
        fence()
        return self.is_served(), self.published.words[held.slot]

    def is_served(self):
        return self.published.words[self.connection] == self.client

    def is_gone(self):
        return bool(self.published.words[len(self.published.words) - 8] & REGISTRY_GONE)

    def begin(self, attachment, access, deadline):
        """An Access, or NotBegun."""
        held, has_waited = self.held[attachment], False
        while True:
            served, slot = self.add(held, 1)
            if self.is_gone():
                self.own.words[held.word] -= 1
                raise NotBegun("registryGone")
            if served and slot == held.stamp | (slot & FENCES if has_waited else 0):
                return Access(held.generation, held.stamp)
            served, slot = self.back_out(held)
            if not served:
                raise NotBegun("cutOff")
            if slot & MOVING:
                if not self.wait_for_move(held, slot, deadline):
                    raise NotBegun("moving")
            elif slot & FENCES and not has_waited:
                self.wait_for_fences(held, access, deadline)
                has_waited = True
            elif slot & ~FLAGS != held.stamp and self.ask(held, slot & ~FLAGS, access):
                return Access(held.generation, held.stamp)

    def back_out(self, held):
        served, slot = self.add(held, -1)
        if slot & MOVING and self.own.words[held.word] == 0:
            # Whether anybody waited for it makes no difference to an access that never was.
            self.request("acknowledge", attachment=held.attachment, generation=held.generation, fence=[])
        return served, slot

    def wait_for_move(self, held, slot, deadline):
        """Until the slot says something else; False at the deadline."""
        while self.published.words[held.slot] == slot:
            if time.monotonic() >= deadline:
                return False
            # A registry that has died, or has cut this client off, wakes nobody.
            if self.is_gone() or not self.is_served():
                break
            self.published.wait_for_change(held.slot, slot, 0.1)
        return True

    def wait_for_fences(self, held, access, deadline):
        within = min(10**10, int(max(0.0, deadline - time.monotonic()) * 10**9))
        usage = "write" if access == "read" else "read"
        name, values = self.request("wait", attachment=held.attachment, within=within, usage=usage)
        if name == "ruledOut":
            raise NotBegun(values["rule"], values)

    def ask(self, held, stamp, access):
        """Whether this attachment lost something when the slot got this stamp. True: it did not, and is inside."""
        name, values = self.request("beginAccess", attachment=held.attachment, generation=held.generation, access=access)
        if name == "ruledOut" and values["rule"] == "moving":
            return False
        if name == "ruledOut":
            raise NotBegun(values["rule"], values)
        # In this order: at no moment is it inside by neither of the two.
        served, slot = self.add(held, 1)
        self.request("endAccess", attachment=held.attachment)
        if served and slot & ~FENCES == stamp:
            held.stamp = stamp
            return True
        self.back_out(held)
        return False

    def end(self, attachment, access):
        """What became of it: ok, lost, or registryGone, and then the next one will know."""
        held = self.held[attachment]
        served, slot = self.add(held, -1)
        if self.is_gone():
            return "registryGone"
        if not served:
            return "lost"
        if slot & ~FENCES == access.stamp:
            return "ok"
        if slot & MOVING and self.own.words[held.word] == 0:
            name, _ = self.request("acknowledge", attachment=attachment, generation=held.generation, fence=[])
            if name == "done":
                return "ok"
        name, values = self.request("endAccess", attachment=attachment)
        is_kept = name == "accessEnded" and values["state"] == "ok" and held.generation == access.generation
        return "ok" if is_kept else "lost"
