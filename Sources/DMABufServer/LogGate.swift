// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Logging

/// Rule: *a client cannot fill the log.* What clients can bring about is logged some times a second; beyond that it is
/// counted, and the next line says how many were left out.
struct LogGate {
    static let perSecond = 20

    private var end = Instant(nanoseconds: 0)
    private var count = 0
    private var leftOut = 0

    /// How many lines were left out before this one, or nil if it is to be left out, too.
    mutating func pass(at now: Instant) -> Int? {
        if now >= end {
            end = now + .seconds(1)
            count = 0
        }
        guard count < Self.perSecond else {
            leftOut += 1
            return nil
        }
        count += 1
        defer { leftOut = 0 }
        return leftOut
    }
}

extension RegistryServer {
    /// A line about what a client did, or that something failed for it.
    mutating func note(
        _ level: Logger.Level, _ text: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard log.logLevel <= level, let leftOut = gate.pass(at: now) else { return }
        var metadata = metadata()
        if leftOut > 0 { metadata["lines_left_out"] = "\(leftOut)" }
        log.log(level: level, text, metadata: metadata)
    }
}
