// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// A memory file that is only ever appended to, without a system call: its maker has it mapped, all of it is there from the
/// beginning, and what is not written yet is zeros. Who is given the file finds in it what was written up to the moment in
/// which its maker was killed.
public struct AppendedFile: ~Copyable, Sendable {
    public let file: Descriptor
    private let page: WritablePage
    /// How much has been appended.
    public private(set) var byteCount = 0

    /// Of `capacity` bytes, a multiple of 8. Throws `noMemory` or `noSpace` where they are not to be had.
    ///
    /// The corresponding C functions are `memfd_create`, `fallocate` and `mmap`.
    public init(named name: String, capacity: Int) throws(Errno) {
        let file = try WritablePage.createForPeer(named: name, byteCount: capacity)
        page = try WritablePage(mapping: file, byteCount: capacity)
        self.file = file
    }

    /// False, and nothing is written, where it does not fit.
    public mutating func append(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count <= page.words.byteCount - byteCount else { return false }
        page.copy(bytes, to: byteCount)
        byteCount += bytes.count
        return true
    }
}
