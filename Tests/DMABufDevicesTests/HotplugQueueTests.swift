// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import DMABufDevices

@Suite("Between the thread that listens and the tasks that read lies a queue of bounded length")
struct HotplugQueueTests {
    static func added(_ number: Int) -> HotplugEvent {
        .added(HotplugDevice(subsystem: "drm", name: "card\(number)", path: "/dev/dri/card\(number)"))
    }

    @Test("events come in their order")
    func order() async throws {
        let queue = HotplugQueue(capacity: 3)
        for number in 0..<3 { queue.offer(Self.added(number)) }
        for number in 0..<3 { #expect(try await queue.next().get() == Self.added(number)) }
    }

    @Test("a full queue gives up all of it for one overflow; what follows is newer", arguments: [1, 2, 5])
    func overflow(capacity: Int) async throws {
        let queue = HotplugQueue(capacity: capacity)
        for number in 0...capacity { queue.offer(Self.added(number)) }
        #expect(try await queue.next().get() == .overflow)
        queue.offer(Self.added(99))
        #expect(try await queue.next().get() == Self.added(99))
    }

    @Test("events after an overflow are kept behind it, up to the same length")
    func afterOverflow() async throws {
        let queue = HotplugQueue(capacity: 3)
        for number in 0..<5 { queue.offer(Self.added(number)) }
        #expect(try await queue.next().get() == .overflow)
        #expect(try await queue.next().get() == Self.added(4))
    }

    @Test("an overflow of the kernel's supersedes what is queued")
    func kernelOverflow() async throws {
        let queue = HotplugQueue(capacity: 3)
        queue.offer(Self.added(1))
        queue.offer(.overflow)
        queue.offer(Self.added(2))
        #expect(try await queue.next().get() == .overflow)
        #expect(try await queue.next().get() == Self.added(2))
    }

    @Test("an end comes after what was queued, and stays")
    func end() async throws {
        let queue = HotplugQueue(capacity: 3)
        queue.offer(Self.added(1))
        queue.end()
        queue.offer(Self.added(2))
        #expect(try await queue.next().get() == Self.added(1))
        for _ in 0..<2 { #expect(try await queue.next().get() == nil) }
    }

    @Test("a failure is told once, then the end")
    func failure() async throws {
        let queue = HotplugQueue(capacity: 3)
        queue.offer(Self.added(1))
        queue.end(.ioError)
        #expect(await queue.next() == .success(Self.added(1)))
        #expect(await queue.next() == .failure(.ioError))
        #expect(await queue.next() == .success(nil))
    }

    @Test("a cancelled reader waits for nothing")
    func cancel() async throws {
        let queue = HotplugQueue(capacity: 3)
        queue.offer(Self.added(1))
        queue.cancel()
        queue.end(.ioError)
        for _ in 0..<2 { #expect(await queue.next() == .success(nil)) }
    }

    @Test("readers that wait get events in turn, and the end all at once")
    func waiting() async throws {
        let queue = HotplugQueue(capacity: 1)
        let readers = (0..<8).map { _ in Task { await queue.next() } }
        for number in 0..<3 { queue.offer(Self.added(number)) }
        // Whoever waited by then took one, the others find the end: nobody hangs.
        queue.end(.ioError)
        var failures = 0
        for reader in readers { if case .failure = await reader.value { failures += 1 } }
        #expect(failures == 1)
    }

    @Test(
        "what an event is about",
        arguments: [
            ("add", "drm", "card1", "/dev/dri/card1", true), ("change", "drm", "card0-VGA-1", nil, false),
            ("add", "misc", "udmabuf", "/dev/udmabuf", true), ("add", "misc", "fuse", "/dev/fuse", false),
            ("add", "infiniband", "rxe0", nil, true),
        ] as [(String, String, String, String?, Bool)])
    func interest(action: String, subsystem: String, name: String, path: String?, isOurs: Bool) {
        let event = HotplugEvent(action: action, subsystem: subsystem, name: name, path: path)
        #expect((event != nil) == isOurs)
    }

    @Test("an action of a later kernel reads as a change")
    func actions() {
        func event(_ action: String) -> HotplugEvent? {
            HotplugEvent(action: action, subsystem: "drm", name: "card1", path: "/dev/dri/card1")
        }
        let device = HotplugDevice(subsystem: "drm", name: "card1", path: "/dev/dri/card1")
        #expect(event("add") == .added(device))
        #expect(event("remove") == .removed(device))
        for action in ["change", "bind", "unheard-of"] { #expect(event(action) == .changed(device)) }
    }
}
