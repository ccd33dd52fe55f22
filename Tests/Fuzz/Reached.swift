// SPDX-License-Identifier: Apache-2.0

import DMABufWire
import Glibc

/// Which messages were reached: decoded from an input, and sent by the rules.
enum Reached {
    nonisolated(unsafe) private static var decoded = [UInt64](repeating: 0, count: 2048)
    nonisolated(unsafe) private static var sent = [UInt64](repeating: 0, count: 2048)

    /// The opcodes use nine low bits and two high ones.
    private static func index(_ opcode: Opcode) -> Int {
        Int(opcode.rawValue >> 14) << 9 | Int(opcode.rawValue & 0x1ff)
    }

    static func decode(_ opcode: Opcode) { decoded[index(opcode)] &+= 1 }
    static func send(_ opcode: Opcode) { sent[index(opcode)] &+= 1 }

    /// On standard output; libFuzzer's own is on standard error.
    static func report() {
        for opcode in Opcode.allCases {
            let (decoded, sent) = (decoded[index(opcode)], sent[index(opcode)])
            print("opcode \(opcode): decoded \(decoded)" + (sent > 0 ? ", sent by the rules \(sent)" : ""))
        }
        let missing = Opcode.allCases.filter { decoded[index($0)] == 0 }.map { "\($0)" }
        print("reached \(Opcode.allCases.count - missing.count) of \(Opcode.allCases.count) opcodes")
        if !missing.isEmpty { print("never decoded: \(missing.joined(separator: " "))") }
        fflush(nil)
    }
}
