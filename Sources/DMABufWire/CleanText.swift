// SPDX-License-Identifier: Apache-2.0

extension Wire {
    /// Whether a name or a reason may travel: it ends up on terminals and in logs, so it has no control characters, no
    /// line separators, and none of the marks that turn the direction of what follows.
    public static func isClean(_ text: String) -> Bool {
        // Most names are of these, and need not be taken apart into scalars.
        if isPlain(text.utf8.span) { return true }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0..<0x20, 0x7f...0x9f, 0x061c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069: false
            default: true
            }
        }
    }

    /// Nothing but what every terminal shows as itself.
    private static func isPlain(_ bytes: Span<UInt8>) -> Bool {
        // Counted to the end, for so the compiler looks at many at a time.
        var others = 0
        for index in bytes.indices where !(0x20..<0x7f).contains(bytes[index]) { others += 1 }
        return others == 0
    }

    /// The longest beginning of `text`, in whole characters, that fits a reason.
    public static func reason(_ text: String) -> String {
        var reason = text
        while reason.utf8.count > reasonLimit { reason.removeLast() }
        return reason
    }
}
