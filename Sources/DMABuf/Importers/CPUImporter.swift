// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// This process's own CPU. Needs no device; takes every buffer, the stand-in too. Whether its exporter lends memory to
/// the CPU shows when it is mapped.
public struct CPUImporter: Importer {
    public let name = "cpu"

    static let backend = ImporterBackend("cpu", .none) { _ throws(DMABufError) in CPUImporter() }

    public init() {}

    /// None: whether memory can be mapped shows when it is.
    public var requirements: Requirements { Requirements(party: name, takesStandIns: true) }

    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        Attachment(buffer: buffer, access: access, importer: name, place: .cpu)
    }
}
