// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// A registry that hands out pages which somebody could take away.
@Suite("Control pages that a client in Python must not map", .leavesNoDescriptor, .requires("python3"))
struct PythonPageChecksTests {
    private static let byteCount: UInt32 = 4096

    enum Flaw: CaseIterable {
        case none, noMemory, shorter, published(MemFD.Seals), own(MemFD.Seals)

        static let allCases: [Flaw] =
            [.none, .noMemory, .shorter] + [.shrink, .grow, .seal, .futureWrite].map(published)
            + [.shrink, .grow].map(own)

        var complaint: String {
            switch self {
            case .none: ""
            case .noMemory: "is no memfd"
            case .shorter: "has not the 4096 bytes"
            case .published, .own: "has the seals"
            }
        }
    }

    @Test(arguments: Flaw.allCases)
    func isFound(_ flaw: Flaw) throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let listener = try UnixListener("\(folder)/socket")
        let client = try PythonClient(at: "\(folder)/socket", hasPages: true)
        var registry = HandClient(over: try listener.accept(until: .after(.seconds(20))))
        try registry.send(.hello(Hello(features: [.registry, .pages])))
        guard case .hello(let hello) = try registry.hear().message else { throw Errno.badMessage }
        #expect(hello.features.contains(.pages))
        let join = try registry.hear()
        let joined = Joined(
            client: ClientID(1), secret: Secret(high: 1, low: 1), run: 1,
            pages: Pages(publishedByteCount: Self.byteCount, ownByteCount: Self.byteCount, connection: 0))
        var pages = DescriptorList()
        try pages.append(published(flaw))
        try pages.append(own(flaw))
        try registry.send(bytes: Envelope(serial: join.serial, .joined(joined)).encoded(), pages)
        if case .none = flaw {
            #expect(try client.answer(to: "joined")["connection"] == 0)
            client.kill()
        } else {
            #expect(registry.end() == .farewell(.done))
            #expect(try client.parting().contains(flaw.complaint))
        }
    }

    private func published(_ flaw: Flaw) throws -> Descriptor {
        if case .noMemory = flaw { return try EventFD().descriptor.duplicate() }
        let page = try MemFD.create(named: "page", byteCount: UInt64(Self.byteCount))
        let missing: MemFD.Seals = if case .published(let seals) = flaw { seals } else { [] }
        // The one that forbids others comes last.
        for seal: MemFD.Seals in [.shrink, .grow, .futureWrite, .seal] where seal != missing {
            try MemFD.addSeals(page, seal)
        }
        return page
    }

    private func own(_ flaw: Flaw) throws -> Descriptor {
        let isShorter = if case .shorter = flaw { true } else { false }
        let page = try MemFD.create(named: "page", byteCount: UInt64(Self.byteCount) / (isShorter ? 2 : 1))
        let missing: MemFD.Seals = if case .own(let seals) = flaw { seals } else { [] }
        for seal: MemFD.Seals in [.shrink, .grow] where seal != missing { try MemFD.addSeals(page, seal) }
        return page
    }
}
