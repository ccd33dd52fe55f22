// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@testable import DMABufDevices

@Suite("Hotplug ends when it is cancelled, and leaves nothing behind", .serialized, .leavesNoDescriptor)
struct HotplugTests {
    @Test("cancelling the task ends the iteration")
    func cancellation() async throws {
        try await nothingStays {
            let task = Task { () throws -> Int in
                var count = 0
                for try await _ in try Hotplug() { count += 1 }
                return count
            }
            try nap(.milliseconds(20))
            task.cancel()
            #expect(try await task.value == 0)
        }
    }

    @Test("a task that was cancelled before gets the end at once")
    func cancelledBefore() async throws {
        try await nothingStays {
            let hotplug = try Hotplug()
            let task = Task { () throws -> HotplugEvent? in
                while !Task.isCancelled { await Task.yield() }
                var iterator = hotplug.makeAsyncIterator()
                return try await iterator.next()
            }
            task.cancel()
            #expect(try await task.value == nil)
            // The sequence has ended for all who iterate.
            var iterator = hotplug.makeAsyncIterator()
            #expect(try await iterator.next() == nil)
        }
    }

    @Test("a sequence that nobody iterates ends with its last reference")
    func dropped() async throws {
        try await nothingStays {
            for _ in 0..<20 { _ = try Hotplug() }
        }
    }

    @Test("many sequences at once, each cancelled")
    func many() async throws {
        try await nothingStays {
            let tasks = (0..<16).map { _ in Task { for try await _ in try Hotplug() {} } }
            for task in tasks { task.cancel() }
            for task in tasks { try await task.value }
        }
    }
}
