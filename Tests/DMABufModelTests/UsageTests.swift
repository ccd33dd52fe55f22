// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Usage and access")
struct UsageTests {
    @Test("kernel < write < read < bookkeep")
    func order() {
        #expect(Usage.allCases.sorted() == [.kernel, .write, .read, .bookkeep])
        #expect(Usage.allCases.map(\.rawValue) == [0, 1, 2, 3])
        for (lower, higher) in zip(Usage.allCases, Usage.allCases.dropFirst()) {
            #expect(lower < higher && !(higher < lower) && !(lower < lower))
        }
    }

    @Test("a reader waits for writers, a writer for readers too, nobody for bookkeeping")
    func waited() {
        #expect(Self.waitedFor(.read) == [.kernel, .write])
        #expect(Self.waitedFor(.write) == [.kernel, .write, .read])
        #expect(Self.waitedFor(.readWrite) == [.kernel, .write, .read])
    }

    @Test("three accesses make sense")
    func access() {
        #expect((0...255).filter { Access(rawValue: $0).isValid } == [1, 2, 3])
        #expect(Access.readWrite == [.read, .write])
        #expect(["\(Access.read)", "\(Access.write)", "\(Access.readWrite)"] == ["read", "write", "read-write"])
        #expect("\(Access(rawValue: 8))" == "access 8")
    }

    private static func waitedFor(_ access: Access) -> [Usage] {
        Usage.allCases.filter { $0 <= Usage.waited(before: access) }
    }
}
