// SPDX-License-Identifier: Apache-2.0

/// An argument or an environment entry: bytes without NUL, which need not be UTF-8. Only the bytes are passed on, so a
/// command gets exactly what was given to us.
public struct CommandWord: Hashable, Sendable, ExpressibleByStringLiteral {
    public let bytes: [UInt8]

    public init(_ text: String) {
        bytes = Array(text.utf8.prefix { $0 != 0 })
    }

    public init(stringLiteral text: String) {
        self.init(text)
    }

    init(copying pointer: UnsafePointer<CChar>) {
        var bytes: [UInt8] = []
        var position = unsafe pointer
        while unsafe position.pointee != 0 {
            unsafe bytes.append(UInt8(bitPattern: position.pointee))
            unsafe position += 1
        }
        self.bytes = bytes
    }

    /// As text is in Swift; what is not UTF-8 is repaired.
    public static func words(_ texts: [String]) -> [CommandWord] { texts.map { CommandWord($0) } }

    public func hasPrefix(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }
}

extension CommandWord: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}
