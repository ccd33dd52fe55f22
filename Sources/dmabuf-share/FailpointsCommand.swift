// SPDX-License-Identifier: Apache-2.0

#if FAILPOINTS
    import ArgumentParser
    import DMABuf
    import DMABufClient
    import DMABufModel
    import DMABufSystem

    /// Only in a build that can be made to die.
    struct FailpointsCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "failpoints",
            abstract: "List the steps at which $DMABUF_FAIL_AT=STEP[:NTH] kills this program, and who comes by each.")

        @Flag(help: "Take every step of a client, once and alone.")
        var walk = false
        @OptionGroup var options: RegistryOptions

        func run() throws {
            if walk { return try asking(options) { try Walk(deadline: options.deadline).take(&$0) } }
            for role in Failpoint.Role.allCases {
                for step in Failpoint.steps(of: role) { print("\(role)\t\(step)") }
            }
        }
    }

    /// A client that is the owner, the importer and the mover of one buffer.
    private struct Walk {
        let deadline: Deadline

        func take(_ registry: inout RegistryConnection) throws {
            let buffer = try MemFDExporter().export(.bytes(4096))
            let (id, generation) = try registry.register(buffer, kept: .owner, until: deadline)
            let attached = try registry.attach(id, AttachTerms(.readWrite), until: deadline)
            try fence(attached, &registry)
            let access = try registry.beginAccess(attached, .write, until: deadline)
            try registry.ask(.beginMove(id, generation, MoveTerms(within: .seconds(5))), until: deadline)
            // By its end the access is acknowledged.
            _ = try registry.endAccess(access, until: deadline)
            try hear(&registry) { if case .readyToCopy = $0 { true } else { false } }
            let next = try MemFDExporter().export(.bytes(4096))
            try registry.commitMove(of: id, from: generation, to: next, until: deadline)
            _ = try registry.map(attached.attachment, until: deadline)
            try hear(&registry) { if case .released = $0 { true } else { false } }
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

        private func hear(_ registry: inout RegistryConnection, _ isMeant: (Notice) -> Bool) throws {
            guard try registry.nextNotice(until: deadline, where: isMeant) != nil else {
                throw DMABufError(.deadline, "the registry did not say how the move goes on")
            }
        }
    }
#endif
