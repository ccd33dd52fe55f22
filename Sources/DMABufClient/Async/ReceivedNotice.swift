// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import Synchronization

/// What the registry says unasked, in order, each once. For one task at a time. Its end is the end of the connection, or of a
/// task that was cancelled while it waited here: from then on nobody listens, and moves are refused.
public struct RegistryNotices: AsyncSequence, Sendable {
    let stream: AsyncStream<Notice>
    let exchange: Exchange

    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncStream<Notice>.AsyncIterator
        let exchange: Exchange

        /// nil at the end of the connection, or of the task.
        public mutating func next() async -> ReceivedNotice? {
            await base.next(isolation: #isolation).map { ReceivedNotice($0, exchange) }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: stream.makeAsyncIterator(), exchange: exchange)
    }
}

/// A notice, and the answer that this client owes for it.
///
/// Elements of a sequence can be copied, and an answer is given once: so this carries the right to a ``MoveNotice``, which
/// one copy takes. If none has when the last copy is gone, the answer is "refused".
public struct ReceivedNotice: Sendable {
    public let notice: Notice
    private let owed: OwedMove?

    init(_ notice: Notice, _ exchange: Exchange) {
        self.notice = notice
        owed = OwedMove(notice, exchange)
    }

    /// The answer that is waited for, to be given by consuming it. nil if none is, or somebody has taken it.
    public func takeMove() -> MoveNotice? { owed?.take() }
}

/// An answer that nobody has taken yet.
private final class OwedMove: Sendable {
    private let invalidation: Invalidation
    private let exchange: Exchange
    private let isTaken = Mutex(false)

    init?(_ notice: Notice, _ exchange: Exchange) {
        guard let invalidation = Invalidation(notice) else { return nil }
        self.invalidation = invalidation
        self.exchange = exchange
    }

    func take() -> MoveNotice? {
        let isFirst = isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        return isFirst ? MoveNotice(invalidation, exchange) : nil
    }

    deinit { _ = take() }
}
