// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
public import DMABufWire

extension Failpoint {
    /// As ``reach(_:_:)``, at the step that a message is part of.
    @inlinable @inline(__always)
    public static func reach(_ moment: Moment, _ message: borrowing Message) {
        #if FAILPOINTS
            let opcode = message.opcode
            reach(moment, step(of: opcode))
        #endif
    }
}

#if FAILPOINTS
    extension Failpoint {
        @usableFromInline
        static func step(of opcode: Opcode) -> Failpoint? {
            switch opcode {
            case .hello: .hello
            case .register, .allocate: .register
            case .attach, .attachNamed, .map: .attach
            case .reserve, .addFence, .renewFence, .wait: .fence
            case .lock, .unlock: .lock
            case .beginMove, .commitMove: .move
            case .acknowledge, .refuseMove: .acknowledge
            default: nil
            }
        }
    }
#endif
