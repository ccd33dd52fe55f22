// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// What a fence of a driver costs the daemon's loop. What it costs the worker that hands it to the kernel is not counted.
@Suite("System calls of a driver's fence", .requires("vgem", "strace"), .leavesNoDescriptor)
struct KernelSystemCallTests {
    @Test("on a stand-in it costs what an eventfd does, and the look at it is an ioctl")
    func standIn() throws {
        let calls = try signalling(on: "memfd")
        #expect(calls == Self.messages.merging(Self.known) { $0 + $1 }, "\(calls)")
    }

    @Test(
        "a dma-buf's reservation gets it too: a message to the worker, and one back",
        arguments: Backends.realExporters.prefix(2))
    func dmaBuf(exporter: String) throws {
        let handedOn = ["sendmsg": 1, "epoll_pwait2": 1, "recvmsg": 1]
        let calls = Self.messages.merging(Self.known) { $0 + $1 }.merging(handedOn) { $0 + $1 }
        let counted = try signalling(on: exporter)
        #expect(counted == calls, "\(counted), and not \(calls)")
    }

    /// Reserve, add, wait and list.
    private static let messages = SystemCallTests.perMessage.mapValues { $0 * 4 }
    /// A wake and a look at how it ended; the link, one in, one away, and it is closed.
    private static let known = ["epoll_pwait2": 1, "ioctl": 1, "readlink": 1, "epoll_ctl": 2, "close": 1]
    /// Of the clock that bounds waits: so many a second, and not for each request. And where a guest has no clock that is read
    /// without the kernel.
    private static let clock: Set<String> = ["setitimer", "rt_sigreturn", "clock_gettime"]

    /// What each of many rounds costs: a fence of another buffer is promised, waited for, and signals.
    private func signalling(on exporter: String) throws -> [String: Int] {
        let registry = try TracedRegistry()
        let deadline = Deadline.after(.seconds(120))
        var owner = try RegistryConnection(at: registry.socket, until: deadline)
        let buffer = try ExporterBackend.open(exporter).export(.bytes(4096))
        let (id, _) = try owner.register(buffer, until: deadline)
        let attached = try owner.attach(id, AttachTerms(.readWrite), until: deadline)
        var waiter = try HandClient(at: registry.socket)
        let waiting = try waiter.attach(attached.id, .read)
        let other = try OtherBuffer()
        var point: UInt64 = 0
        let counts = try registry.callsPerRound {
            point += 1
            let fence = try VGEM.attachFence(to: other.gem, write: true)
            let file = try #require(try other.memory.fence(waitingBefore: .write))
            let terms = FenceTerms(timeline: 1, point: point, usage: .write, within: .seconds(10))
            try owner.ask(.reserve(attached.attachment, slots: 1), until: deadline)
            _ = try owner.add(file, to: attached.attachment, terms, until: deadline)
            let request = try waiter.send(.request(.wait(waiting, .read, within: .seconds(10))))
            // What is asked after it is answered before it.
            try waiter.ask(.list(from: 0))
            try fence.signal()
            guard case .answer(.waited(.ok)) = try waiter.answer(to: request) else { throw Errno.badMessage }
        }
        try registry.stop()
        return counts.filter { !Self.clock.contains($0.key) }
    }
}
