// SPDX-License-Identifier: Apache-2.0

/// The bytes of an input, read once from front to back. Past its end there are zeros.
struct Input {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { offset >= bytes.count }

    mutating func byte() -> UInt8 {
        guard offset < bytes.count else { return 0 }
        defer { offset += 1 }
        return bytes[offset]
    }

    /// Up to `count` bytes, as many as are left.
    mutating func take(_ count: Int, into taken: inout [UInt8]) {
        let end = min(offset + count, bytes.count)
        taken.append(contentsOf: bytes[offset..<end])
        offset = end
    }
}

/// A step of an input: its kind in the low three bits of a byte, the client in the next two, and whether the client that
/// the request is up to asks instead. What follows is up to the kind.
enum StepKind: UInt8 {
    /// Descriptors, length in two bytes, and the bytes as they are.
    case datagram
    /// Opcode, length, and a body that is given its header and cut or filled to its length.
    case message
    /// Who it is.
    case connect
    /// A unit, and how many of it.
    case time
    /// Buffer, generation, count.
    case count
    /// Buffer, generation, how the copy went.
    case copy
    /// Fence, and how it ended.
    case fence
    /// 0: the client's death. Else so many notices have been read.
    case client

    static let rightClient: UInt8 = 0x20
}

/// How many nanoseconds the units of ``StepKind/time`` have. Beyond them: up to the next deadline.
let timeUnits: [UInt64] = [1, 100_000, 1_000_000, 100_000_000]
