// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// More work than there are workers.
@Suite("Many copies at once", .leavesNoDescriptor)
struct ManyCopiesTests {
    @Test("a copy waits for its turn, and each move ends well")
    func copies() throws {
        let registry = try RunningRegistry()
        let limit = Deadline.after(.seconds(60))
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var moving: Set<BufferID> = []
        for _ in 0..<24 {
            moving.insert(try owner.allocate(.bytes(1 << 20), from: "memfd", until: limit).0)
        }
        let terms = MoveTerms(within: .seconds(1), copier: .server, placement: "memfd")
        for buffer in moving { try owner.ask(.beginMove(buffer, .first, terms), until: limit) }
        while !moving.isEmpty {
            guard case .moveEnded(let buffer, let outcome) = try owner.nextNotice(until: limit) else { continue }
            #expect(outcome == .moved(Generation(2), cutOff: []))
            moving.remove(buffer)
        }
        _ = try registry.stop()
    }

    @Test("a worker that is stopped or has much to let go of is ended without anybody's waiting for it")
    func calledOff() throws {
        let registry = try RunningRegistry(tool: Tool.path, "--no-vault")
        let limit = Deadline.after(.seconds(60))
        try registry.withCanary("workers that are ended in their midst") {
            var owner = try RegistryConnection(at: registry.socket, until: limit)
            let (buffer, _) = try owner.allocate(.bytes(256 << 20), from: "memfd", until: limit)
            let terms = MoveTerms(within: .seconds(5), copier: .server, placement: "memfd")
            for round in 0..<4 {
                Self.waitForNoWorker(of: registry)
                try owner.ask(.beginMove(buffer, .first, terms), until: limit)
                let worker = try Self.worker(of: registry)
                // It has filled some of the new memory.
                Clock.sleep(.milliseconds(50))
                // It is not done before it is told.
                try worker.send(SignalNumber.stop.rawValue)
                if round % 2 == 1 { try worker.send(SignalNumber.resume.rawValue) }
                try owner.ask(.abortMove(buffer, .first), until: limit)
                #expect(try !Poll.wait(worker.descriptor, for: .readable, until: limit).isEmpty)
            }
            // They are reaped.
            Self.waitForNoWorker(of: registry)
            try owner.ask(.withdraw(buffer), until: limit)
        }
        _ = try registry.stop()
    }

    private static func children(of registry: borrowing RunningRegistry) -> [Int32] {
        let process = registry.processID
        let children = Sysfs.text("/proc/\(process)/task/\(process)/children") ?? ""
        return children.split(separator: " ").compactMap { Int32($0) }
    }

    private static func waitForNoWorker(of registry: borrowing RunningRegistry) {
        let deadline = Deadline.after(.seconds(10))
        while !children(of: registry).isEmpty, !deadline.hasPassed { Clock.sleep(.milliseconds(1)) }
        #expect(children(of: registry).isEmpty)
    }

    private static func worker(of registry: borrowing RunningRegistry) throws -> PidFD {
        let deadline = Deadline.after(.seconds(10))
        while !deadline.hasPassed {
            if let worker = children(of: registry).first { return try PidFD(worker) }
            Clock.sleep(.milliseconds(1))
        }
        throw Errno.timedOut
    }
}
