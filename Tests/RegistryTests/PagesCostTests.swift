// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("What an access through control pages costs", .leavesNoDescriptor)
struct PagesCostTests {
    private let limit = Deadline.after(.seconds(120))

    @Test(
        "a begin and an end make no system call", .enabled(if: Trace.isPossible, "strace is missing, or may not trace"))
    func noSystemCall() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try client.register(try Field.make(.first), kept: .owner, until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try once(&client, attached)
        let calls = try Trace.calls {
            for _ in 0..<1000 { try once(&client, attached) }
        }
        #expect(calls == [])
        // The control: what asks is seen.
        let asked = try Trace.calls { try client.ask(.snapshot(attached.attachment, .write), until: limit) }
        #expect(asked.count >= 2)
        _ = try registry.stop()
    }

    @Test(
        "nor do the bytes of a stand-in, which needs no bracket",
        .enabled(if: Trace.isPossible, "strace is missing, or may not trace"))
    func noSystemCallForBytes() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try client.register(try Field.make(.first), kept: .owner, until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try client.withAccess(.write, to: &attached) { _ in }
        let calls = try Trace.calls {
            for _ in 0..<1000 {
                try client.withAccess(.write, to: &attached) { $0.storeBytes(of: 1, as: UInt8.self) }
                try client.withAccess(.read, to: &attached) { _ in }
            }
        }
        #expect(calls == [])
        _ = try registry.stop()
    }

    @Test("it is a small part of what asking costs")
    func figure() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try client.register(try Field.make(.first), kept: .owner, until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        var (pages, messages, ratios): ([Double], [Double], [Double]) = ([], [], [])
        for _ in 0..<60 {
            let byPage = try nanoseconds { try once(&client, attached) }
            let byMessage = try nanoseconds {
                try client.ask(.beginAccess(attached.attachment, generation, .read), until: limit)
                try client.ask(.endAccess(attached.attachment), until: limit)
            }
            pages.append(byPage)
            messages.append(byMessage)
            ratios.append(byMessage / byPage)
        }
        let (page, message, ratio) = (median(pages), median(messages), median(ratios))
        print("begin and end: \(Int(page)) ns by page, \(Int(message)) ns by message, ratio \(Int(ratio))")
        #expect(ratio > 5)
        _ = try registry.stop()
    }

    private func once(_ client: inout RegistryConnection, _ attached: AttachedBuffer) throws {
        let ongoing = try client.beginAccess(attached, .read, until: limit)
        let state = try client.endAccess(ongoing, until: limit)
        guard state == .ok else { throw Errno.invalidArgument }
    }

    /// Of one, in a block of a hundred.
    private func nanoseconds(_ body: () throws -> Void) throws -> Double {
        let start = Deadline.now()
        for _ in 0..<100 { try body() }
        return Double(Deadline.now().nanoseconds - start.nanoseconds) / 100
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
