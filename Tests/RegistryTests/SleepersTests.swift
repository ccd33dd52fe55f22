// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A move looks at the words of those who have the memory that moves. They come, go and fall asleep between moves.
@Suite("Importers that sleep through moves", .leavesNoDescriptor)
struct SleepersTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("whoever is inside is waited for, and nobody else, in whatever order they mapped", arguments: [1, 2, 3])
    func moves(seed: UInt64) throws {
        let registry = try RunningRegistry()
        var random = SplitMix64(seed: seed)
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var (id, generation) = try owner.register(
            MemFDExporter().export(.bytes(4096)), kept: .owner, name: "moved", until: limit)
        var importers: [Sleeper] = []
        for _ in 0..<8 { importers.append(try Sleeper(at: registry.socket, until: limit)) }
        var waitedFor = 0
        for _ in 0..<40 {
            for importer in importers { try importer.dream(&random) }
            try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: limit)
            for importer in importers where try importer.isAskedToLeave() { waitedFor += 1 }
            let ready = try owner.nextNotice(until: limit) { if case .readyToCopy = $0 { true } else { false } }
            #expect(ready != nil)
            try owner.commitMove(of: id, from: generation, to: MemFDExporter().export(.bytes(4096)), until: limit)
            generation = generation.next
        }
        #expect(waitedFor > 40)
        importers = []
        _ = try registry.stop()
    }
}

/// An importer that may be inside an access. What it reads of the buffer is of no interest.
private final class Sleeper {
    private let limit: Deadline
    private var registry: RegistryConnection
    private var attached: AttachedBuffer
    private var access: OngoingAccess?
    private var isAsleep = false

    init(at socket: String, until limit: Deadline) throws {
        self.limit = limit
        registry = try RegistryConnection(at: socket, until: limit)
        attached = try registry.attach("moved", AttachTerms(.read), until: limit)
    }

    func dream(_ random: inout SplitMix64) throws {
        let whim = random.next() % 8
        // Half of them sleep on; not for two moves, for there may be no more than two generations of old memory.
        isAsleep = !isAsleep && whim >= 4
        guard !isAsleep else { return }
        if whim == 0 {
            try registry.ask(.detach(attached.attachment), until: limit)
            attached = try registry.attach("moved", AttachTerms(.read), until: limit)
        } else {
            attached = try registry.map(attached.attachment, until: limit)
        }
        if whim < 3 { access = try registry.beginAccess(attached, .read, until: limit) }
    }

    /// Whether it is inside, and then it leaves; what it has been told must be the same.
    func isAskedToLeave() throws -> Bool {
        // What was said before is heard before the answer.
        try registry.ask(.list(from: 0), until: limit)
        var isAsked = false
        while let notice = try registry.nextNotice(until: .now()) {
            if case .invalidate = notice { isAsked = true }
        }
        #expect(isAsked == (access != nil))
        guard let ongoing = access.take() else { return false }
        #expect(try registry.endAccess(ongoing, until: limit) == .ok)
        return true
    }
}
