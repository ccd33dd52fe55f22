// SPDX-License-Identifier: Apache-2.0

/// What every memory of a buffer is.
public enum MemoryKind: UInt8, Sendable {
    case dmaBuf = 1
    /// The stand-in: a sealed memfd.
    case memfd = 2
}
