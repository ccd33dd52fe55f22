// SPDX-License-Identifier: Apache-2.0

#if FAILPOINTS
    import ArgumentParser
    import DMABuf
    import DMABufClient
    import DMABufModel
    import DMABufSystem
    import DMABufWire

    /// Only in a build that can be made to die.
    struct FailpointsCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "failpoints",
            abstract: "List the steps at which $DMABUF_FAIL_AT=STEP[:NTH] kills this program, and who comes by each.")

        @Flag(help: "Take every step of a client, once and alone.")
        var walk = false
        @Option(help: "The exporter of the memory that it walks with.")
        var from = "memfd"
        @OptionGroup var options: RegistryOptions

        func run() throws {
            if walk {
                return try asking(options) { try Walk(exporter: from, deadline: options.deadline).take(&$0) }
            }
            for role in Failpoint.Role.allCases {
                for step in Failpoint.steps(of: role) { print("\(role)\t\(step)") }
            }
        }
    }

    /// A client that is the owner, the importer and the mover of one buffer. What a restart of the registry takes from it, a
    /// lock or a move, it begins again.
    private struct Walk {
        let exporter: String
        let deadline: Deadline

        private func memory() throws(DMABufError) -> DescribedBuffer {
            try ExporterBackend.open(exporter).export(.bytes(4096))
        }

        func take(_ registry: inout RegistryConnection) throws {
            var attached = try steadily(&registry) { (registry) throws in
                let id = try registry.register(memory(), kept: .owner, until: deadline).0
                return try registry.attach(id, AttachTerms(.readWrite), until: deadline)
            }
            try steadily(&registry) { (registry) throws in try fence(attached, &registry) }
            let run = try steadily(&registry) { (registry) throws in
                let run = registry.joined.run
                try move(attached, &registry)
                return run
            }
            // It lets go of the old memory itself.
            attached = try registry.map(attached.attachment, until: deadline)
            // The next registry does not know of old memory.
            while registry.joined.run == run, !deadline.hasPassed {
                let soon = min(deadline, .after(.milliseconds(100)))
                if try registry.nextNotice(until: soon, where: \.isRelease) != nil { return }
            }
            if registry.joined.run == run { throw DMABufError(.deadline, "the old memory was not released") }
        }

        /// Once more with each registry.
        private func steadily<Result>(
            _ registry: inout RegistryConnection, _ body: (inout RegistryConnection) throws -> Result
        ) throws -> Result {
            while true {
                let run = registry.joined.run
                do { return try body(&registry) } catch {
                    guard registry.joined.run != run else { throw error }
                }
            }
        }

        private func fence(_ attached: AttachedBuffer, _ registry: inout RegistryConnection) throws {
            let lock = Request.lock([attached.id], within: .seconds(5), lasting: .seconds(5))
            guard case .locked(let number, _) = try registry.ask(lock, until: deadline) else { return }
            try registry.ask(.reserve(attached.attachment, slots: 1), until: deadline)
            let event = try EventFD()
            try event.signal()
            let signalled = try Fence(adopting: event.intoDescriptor())
            let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD)
            _ = try registry.add(signalled, to: attached.attachment, terms, lock: number, until: deadline)
            try registry.ask(.unlock(number), until: deadline)
            try registry.ask(.wait(attached.attachment, .write, within: .seconds(5)), until: deadline)
        }

        private func move(_ attached: AttachedBuffer, _ registry: inout RegistryConnection) throws {
            // Of a move that a restart has ended.
            while try registry.nextNotice(until: .now(), where: \.isForMover) != nil {}
            let mapped = try registry.map(attached.attachment, until: deadline)
            let access = try registry.beginAccess(mapped, .write, until: deadline)
            let terms = MoveTerms(within: .seconds(5))
            do { try registry.ask(.beginMove(mapped.id, mapped.generation, terms), until: deadline) } catch {
                _ = try? registry.endAccess(access, until: deadline)
                throw error
            }
            // By its end the access is acknowledged.
            _ = try registry.endAccess(access, until: deadline)
            switch try registry.nextNotice(until: deadline, where: \.isForMover) {
            case .readyToCopy: break
            case .moveEnded: throw DMABufError(.gone, "the move was called off")
            default: throw DMABufError(.deadline, "the registry did not say how the move goes on")
            }
            try registry.commitMove(of: mapped.id, from: mapped.generation, to: memory(), until: deadline)
        }
    }

    extension Notice {
        fileprivate var isForMover: Bool {
            switch self {
            case .readyToCopy, .moveEnded: true
            default: false
            }
        }

        fileprivate var isRelease: Bool { if case .released = self { true } else { false } }
    }
#endif
