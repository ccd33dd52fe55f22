// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("A message, without waiting", .leavesNoDescriptor)
struct TryMessageTests {
    private static let soon: Duration = .seconds(5)

    @Test func nothingThereIsNothing() throws {
        let pair = try UnixSocket.pair()
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try pair.first.tryReceive(into: &buffer)?.byteCount == nil)
        #expect(try pair.second.trySend([1, 2, 3].span) == .sent)
        #expect(try pair.first.tryReceive(into: &buffer)?.byteCount == 3)
        #expect(buffer.prefix(3) == [1, 2, 3])
        #expect(try pair.first.tryReceive(into: &buffer)?.byteCount == nil)
        pair.second.shutdown()
        #expect(throws: ReceiveError.closed) { _ = try pair.first.tryReceive(into: &buffer)?.byteCount }
        #expect(throws: Errno.brokenPipe) { _ = try pair.first.trySend([1].span) }
    }

    @Test func oneDescriptorIsLentAndAListIs() throws {
        let pair = try UnixSocket.pair()
        let file = try MemFD.create(named: "test", byteCount: 1)
        var list = DescriptorList()
        for _ in 0..<6 { try list.appendDuplicate(of: file) }
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try pair.first.trySend([1].span, with: file) == .sent)
        #expect(try pair.first.trySend([1].span, with: list) == .sent)
        for expected in [1, 6] {
            guard var received = try pair.second.tryReceive(into: &buffer) else { throw Errno.timedOut }
            #expect(received.descriptors.count == expected)
            while let copy = received.descriptors.takeFirst() { #expect(try copy.identity() == file.identity()) }
        }
        #expect(list.count == 6)
    }

    /// What is too many never has a number here.
    @Test(arguments: [0, 1, 2, 3, 4, 5, 8]) func moreDescriptorsThanExpectedAreLost(limit: Int) throws {
        let pair = try UnixSocket.pair()
        let file = try MemFD.create(named: "test", byteCount: 1)
        var list = DescriptorList()
        var buffer = [UInt8](repeating: 0, count: 16)
        for _ in 0..<limit { try list.appendDuplicate(of: file) }
        _ = try pair.first.trySend([1].span, with: list)
        guard let received = try pair.second.tryReceive(into: &buffer, descriptorsAtMost: limit)
        else { throw Errno.timedOut }
        #expect(received.descriptors.count == limit)
        try list.appendDuplicate(of: file)
        _ = try pair.first.trySend([1].span, with: list)
        #expect(throws: ReceiveError.truncatedDescriptors) {
            _ = try pair.second.tryReceive(into: &buffer, descriptorsAtMost: limit)?.byteCount
        }
    }

    @Test func aPeerThatDoesNotReadIsSeen() throws {
        let pair = try UnixSocket.pair()
        #expect(try pair.first.unreadBytes == 0)
        let message = [UInt8](repeating: 7, count: 1000)
        var sent = 0
        while try pair.first.trySend(message.span) == .sent { sent += 1 }
        #expect(sent > 10)
        #expect(try pair.first.unreadBytes >= sent * 1000)
        var buffer = [UInt8](repeating: 0, count: 1000)
        for left in (0..<sent).reversed() {
            _ = try pair.second.tryReceive(into: &buffer)?.byteCount
            #expect(try (pair.first.unreadBytes == 0) == (left == 0))
        }
    }

    /// The limit is the user's: in a process that is nobody else's user, without privilege.
    @Test(.requires("root")) func tooManyDescriptorsInFlightIsNoError() throws {
        let pair = try UnixSocket.pair()
        let file = try MemFD.create(named: "test", byteCount: 1)
        var list = DescriptorList()
        for _ in 0..<200 { try list.appendDuplicate(of: file) }
        let before = try ResourceLimit.openFiles()
        let outcome = try OwnUser.with(4242) {
            try ResourceLimit.setOpenFiles(soft: 256)
            defer { try? ResourceLimit.setOpenFiles(soft: before.soft) }
            var outcomes: [UnixSocket.SendOutcome] = []
            for _ in 0..<4 { outcomes.append(try pair.first.trySend([1].span, with: list)) }
            return outcomes
        }
        #expect(outcome.first == .sent)
        #expect(outcome.last == .wouldBlock)
        #expect(try pair.first.trySend([1].span) == .sent)
    }
}

@Suite("A loop's waits", .leavesNoDescriptor)
struct PollerTests {
    private static let soon: Duration = .seconds(5)

    @Test func inputOutputAndHangUpAreTold() throws {
        let pair = try UnixSocket.pair()
        let first = pair.first
        let poller = try Poller()
        var events = PollerEvents()
        try poller.add(first.descriptor, token: 7)
        try poller.wait(into: &events, until: .now())
        #expect(events.count == 0)
        try poller.change(first.descriptor, token: 8, for: [.input, .output])
        try poller.wait(into: &events, until: .after(Self.soon))
        #expect(events.count == 1)
        #expect(events[0].token == 8 && events[0].isWritable && !events[0].isReadable && !events[0].hasHungUp)
        do {
            let second = pair.second
            _ = try second.trySend([1].span)
            try poller.change(first.descriptor, token: 9, for: .input)
            try poller.wait(into: &events, until: .after(Self.soon))
            #expect(events[0].token == 9 && events[0].isReadable && !events[0].isWritable && !events[0].hasHungUp)
            try poller.change(first.descriptor, token: 10, for: [])
            try poller.wait(into: &events, until: .after(.milliseconds(5)))
            #expect(events.count == 0)
        }
        try poller.wait(into: &events, until: nil)
        #expect(events[0].token == 10 && events[0].hasHungUp && !events[0].isReadable)
        try poller.remove(first.descriptor)
        try poller.wait(into: &events, until: .after(.milliseconds(5)))
        #expect(events.count == 0)
        #expect(throws: Errno.noSuchFileOrDirectory) { try poller.change(first.descriptor, token: 1, for: .input) }
    }

    @Test func sixtyFourAtOnceAndTheOthersNext() throws {
        let poller = try Poller()
        var list = DescriptorList()
        for token in 0..<100 {
            let event = try EventFD()
            try event.signal()
            try poller.add(event.descriptor, token: UInt64(token))
            list.append(event.intoDescriptor())
        }
        var events = PollerEvents()
        var seen: Set<UInt64> = []
        for expected in [64, 64] {
            try poller.wait(into: &events, until: .after(Self.soon))
            #expect(events.count == expected)
            for index in 0..<events.count { seen.insert(events[index].token) }
        }
        #expect(seen.count == 100, "the kernel takes turns")
    }

    @Test func theDeadlineIsInNanoseconds() throws {
        let poller = try Poller()
        var events = PollerEvents()
        let start = Deadline.now()
        for _ in 0..<20 { try poller.wait(into: &events, until: .after(.microseconds(200))) }
        let spent = Deadline.now().nanoseconds - start.nanoseconds
        #expect(spent >= 20 * 200_000)
        try poller.wait(into: &events, until: Deadline(nanoseconds: 0))
        #expect(events.count == 0)
    }
}
