// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// Processes that were made to close what strangers sent, and have not come back: a hostile file can make `close` wait for
/// ever, even across SIGKILL. Whoever sends many such files costs many processes.
public struct LostClosers: Sendable {
    private final class Closer: Sendable {
        let process: Descriptor
        init(_ pidfd: CInt) { process = Descriptor(adopting: pidfd) }
    }

    private var processes: [Closer] = []

    public init() {}

    /// Closes each number in a process of its own, see ``Descriptor/closeElsewhere()``, and keeps those that are not done.
    init(closing numbers: [CInt]) {
        processes = closeStrangers(numbers).map(Closer.init)
        look()
    }

    public var count: Int { processes.count }

    public mutating func formUnion(_ other: LostClosers) { processes += other.processes }

    /// Forgets those that have come back after all.
    public mutating func look() {
        processes.removeAll { (try? Poll.wait($0.process, for: .readable, until: .now()))?.isEmpty == false }
    }
}
