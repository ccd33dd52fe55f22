// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
import DMABufSystem
import DMABufWire

/// What tasks and the thread share.
extension Exchange {
    struct Waiting {
        let message: Message
        let deadline: Deadline
        let answer: CheckedContinuation<Outcome, Never>
        /// Until then nothing came of it, whatever happens to the registry.
        var wasSent = false
    }

    enum Outcome {
        case over(Result<Reply, RegistryError>)
        case notSent
    }

    /// In a place that a task can hold while the thread goes on with another.
    final class Link: Sendable {
        let socket: UnixSocket
        init(_ socket: consuming UnixSocket) { self.socket = socket }
    }

    struct State {
        var link: Link
        var secret: Secret
        var lastSerial: UInt64 = 1 << 32  // above those that the connection has used before
        var waiting: [UInt64: Waiting] = [:]
        /// Requests that were sent, or are about to be, and whose answers nobody waits for any more.
        var givenUp: [UInt64: Message] = [:]
        var end: RegistryError?
        /// How many registries have been found after the first, and who waits for the next.
        var epoch = 0
        var parked: [(deadline: Deadline, task: CheckedContinuation<Void, Never>)] = []
        var firstDeadline: Deadline {
            let first = waiting.values.lazy.map(\.deadline).min() ?? Deadline(nanoseconds: .max)
            return parked.lazy.map(\.deadline).min().map { min($0, first) } ?? first
        }

        init(_ link: Link, _ secret: Secret) {
            self.link = link
            self.secret = secret
        }
    }
}
