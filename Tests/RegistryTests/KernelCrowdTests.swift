// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// A move under a hundred importers, of which ten hold: seven are honest, one is late, one lies, one dies.
@Suite("A move under a crowd", .leavesNoDescriptor)
struct KernelCrowdTests {
    private let limit = Deadline.after(.seconds(120))
    /// What counts its importers, and a stand-in that does not.
    private static let exporters = ["memfd"] + ["udmabuf", "heap:system", "vgem"].filter(Machine.has)

    @Test(
        "only the holders are asked; each gets what it deserves; the liar keeps the old memory from release",
        arguments: exporters)
    func crowd(exporter: String) throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(withoutPagesAt: registry.socket, until: limit)
        let (id, old) = try owner.allocate(.bytes(65536), from: exporter, name: "crowd", until: limit)
        let idle = try (0..<90).map { _ in try Member(at: registry.socket, hasPages: true, until: limit) }
        let honest = try (0..<7).map { _ in try Member(at: registry.socket, hasPages: false, until: limit) }
        let late = try Member(at: registry.socket, hasPages: false, until: limit)
        let liar = try Member(at: registry.socket, hasPages: false, until: limit)
        for member in honest + [late, liar] { try member.begin(old) }
        var dying = try Puppet(at: registry.socket)
        let doomed = try dying.client.attach(id)
        try dying.client.ask(.beginAccess(doomed, old, .readWrite))

        let terms = MoveTerms(within: .seconds(6), late: .cutOff, copier: .server, placement: exporter)
        try owner.ask(.beginMove(id, old, terms), until: limit)
        for member in honest + [late, liar] { #expect(try member.isAsked()) }
        // Later they are told that old memory waits for them, if they have not looked by then.
        for member in idle {
            #expect(try member.connection.nextNotice(until: .now()) == nil, "the idle are not disturbed")
        }
        guard case .invalidate(doomed, id, old, _) = try dying.client.nextNotice() else { throw Errno.badMessage }
        try dying.kill()
        for member in honest { try member.letGo(old) }
        // Another device has the memory still, or where there is none, a descriptor.
        try liar.keep(on: "drm:card0")
        try liar.connection.acknowledge(liar.attachment, old, until: limit)

        let end = try owner.next(until: limit) { if case .moveEnded = $0 { true } else { false } }
        guard case .moveEnded(id, .moved(old.next, let cutOff)) = end else { throw Errno.badMessage }
        #expect(cutOff.map(\.attachment) == [late.attachment])
        #expect(try late.connection.ask(.endAccess(late.attachment), until: limit) == .accessEnded(.revoked))
        for member in idle + honest + [late] { #expect(try member.mapsAgain() == old.next) }

        let isCounted = exporter != "memfd"
        func isReleased(within patience: Duration) throws -> Bool? {
            let notice = try owner.nextNotice(until: .after(patience)) {
                if case .released(id, old, _) = $0 { true } else { false }
            }
            guard case .released(_, _, let isVerified) = notice else { return nil }
            return isVerified
        }
        #expect(try liar.mapsAgain() == old.next)
        if isCounted {
            #expect(try isReleased(within: .milliseconds(500)) == nil, "the liar was not found out")
            let found = try owner.inspect(id, until: limit)
            #expect(found.inspection.quarantined == [old])
        }
        liar.keepsNothing()
        // A DRM driver's own imports are not counted: what is back at its baseline is released, and proves nothing.
        #expect(try isReleased(within: .seconds(30)) == (isCounted && exporter != "vgem"))
        _ = try registry.stop()
    }
}

/// One importer of the crowd.
private final class Member {
    var connection: RegistryConnection
    var attached: AttachedBuffer?
    private var kept: DMABuf.Attachment?
    private var old: AttachedBuffer?
    let attachment: AttachmentID
    private let limit: Deadline

    init(at path: String, hasPages: Bool, until limit: Deadline) throws {
        connection =
            hasPages
            ? try RegistryConnection(at: path, until: limit)
            : try RegistryConnection(withoutPagesAt: path, until: limit)
        let attached = try connection.attach("crowd", AttachTerms(.readWrite), until: limit)
        (attachment, self.attached, self.limit) = (attached.attachment, attached, limit)
    }

    func begin(_ generation: Generation) throws {
        try connection.ask(.beginAccess(attachment, generation, .readWrite), until: limit)
    }

    func isAsked() throws -> Bool {
        guard case .invalidate(attachment, _, _, _) = try connection.nextNotice(until: limit) else { return false }
        return true
    }

    func letGo(_ generation: Generation) throws {
        attached = nil
        try connection.acknowledge(attachment, generation, until: limit)
    }

    /// An import into that device in place of the descriptor.
    func keep(on importer: String) throws {
        guard let attached else { return }
        if attached.buffer.memory[0].isStandIn || !Machine.has(importer) { return old = attached }
        kept = try ImporterBackend.open(importer).attach(attached.buffer.memory[0], for: .read)
    }

    func keepsNothing() {
        old = nil
        kept = nil
    }

    func mapsAgain() throws -> Generation {
        attached = nil
        let mapped = try connection.map(attachment, until: limit)
        attached = mapped
        return mapped.generation
    }
}
