// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// The registry's messages as somebody reads them who has PROTOCOL.md alone: Tests/Clients/registry_wire.py.
@Suite("The registry's messages, read by others", .leavesNoDescriptor)
struct RegistryClientTests {
    @Test("every fixture is read and written back, or refused for the reason that it names", .requires("python3"))
    func fixtures() throws {
        let folder = "\(Package.root)/fixtures/wire"
        let files = [folder, "\(folder)/malformed"].flatMap { folder in
            Folder.names(folder).filter { $0.hasSuffix(".hex") }.map { "\(folder)/\($0)" }
        }
        #expect(files.count > 250)
        let run = try Running(
            ["python3", "-B", "\(Package.root)/Tests/Clients/registry.py", "fixtures"] + files.sorted()
        ).finish()
        #expect(run.status == 0, "\(run.output)\(run.errors)")
        #expect(run.output == "\(files.count) messages\n")
    }
}
