// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

extension MutableRawSpan {
    /// Fills it with zeros.
    ///
    /// The corresponding C function is `memset`.
    public mutating func clear() {
        unsafe withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe memset(start, 0, bytes.count) }
        }
    }

    /// Copies `bytes` to `offset`, where they must have room.
    ///
    /// The corresponding C function is `memmove`.
    public mutating func store(_ bytes: RawSpan, at offset: Int) {
        precondition(offset >= 0 && bytes.byteCount <= byteCount - offset, "\(bytes.byteCount) bytes at \(offset)")
        guard bytes.byteCount > 0 else { return }
        unsafe withUnsafeMutableBytes { target in
            unsafe bytes.withUnsafeBytes { source in
                _ = unsafe memmove(target.baseAddress! + offset, source.baseAddress!, source.count)
            }
        }
    }
}

/// A shared mapping of a descriptor into this process, unmapped when the value ends.
///
/// The corresponding C functions are `mmap` and `munmap`. Only for memory that cannot shrink (a dma-buf, a memfd sealed
/// `F_SEAL_SHRINK`): touching a page that was cut off is a SIGBUS.
@safe
public struct MemoryMapping: ~Copyable, @unchecked Sendable {
    private let start: UnsafeMutableRawPointer
    public let byteCount: Int
    public let isWritable: Bool

    /// Maps `byteCount` bytes from `offset`, shared, to read or to read and write.
    public init(
        _ file: borrowing Descriptor, byteCount: Int, offset: Int = 0, writable: Bool
    ) throws(Errno) {
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let number = file.number
        let address = unsafe mmap(nil, byteCount, protection, MAP_SHARED, number, offset)
        // MAP_FAILED.
        guard let address = unsafe address, Int(bitPattern: address) != -1 else { throw Errno(rawValue: errno) }
        unsafe start = address
        self.byteCount = byteCount
        isWritable = writable
    }

    deinit { unsafe munmap(start, byteCount) }

    /// Lends the bytes for the length of `body`.
    @inline(__always)
    public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe RawSpan(_unsafeStart: start, byteCount: byteCount))
    }

    /// Lends the bytes to write for the length of `body`; the mapping must be writable.
    @inline(__always)
    public mutating func withMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(isWritable, "mapped to read, asked to write")
        var bytes = unsafe MutableRawSpan(_unsafeStart: start, byteCount: byteCount)
        return try body(&bytes)
    }
}

extension MutableRawSpan {
    /// Copies `bytes` to its beginning; traps if they do not fit.
    ///
    /// The corresponding C function is `memcpy`, which on memory of another mapping is the fastest there is.
    public mutating func copyBytes(from bytes: RawSpan) {
        precondition(bytes.byteCount <= byteCount, "\(bytes.byteCount) bytes into \(byteCount)")
        unsafe withUnsafeMutableBytes { target in
            unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
        }
    }
}
