// SPDX-License-Identifier: Apache-2.0

import Glibc

// Memory that takes the kernel long to take back, for whoever closes it last.

extension Descriptor {
    package static let bigByteCount: UInt64 = 32 << 20

    /// Whether a file of memory has become so large. Only of one that is known to be such.
    ///
    /// The corresponding C function is `fstat`.
    package var holdsBigFile: Bool { isBigFile(number, .memfd) }
}

/// Of a descriptor whose kind is known, and is one that closes at once.
func isBigFile(_ number: CInt, _ kind: DescriptorKind) -> Bool {
    if kind == .dmaBuf { return lseek(number, 0, Int32(SEEK_END)) >= Int(Descriptor.bigByteCount) }
    var status = stat()
    guard unsafe fstat(number, &status) == 0 else { return false }
    // There may be pages behind the end.
    return max(status.st_size, status.st_blocks * 512) >= Int(Descriptor.bigByteCount)
}
