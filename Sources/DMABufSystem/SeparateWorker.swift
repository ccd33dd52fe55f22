// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A worker thread with a table of open files of its own: 0, 1, 2 and one end of a socket pair. What it is to work on
/// arrives there, as messages with descriptors, and its answers go back.
///
/// So the thread that serves strangers shares its table with nobody and can get rid of whatever they send
/// (``Descriptor/closeElsewhere()``); and a worker that hangs in a call holds only what it was given. The price is that an
/// owned ``Descriptor`` must not go from one thread to the other but through the socket: its number means nothing there.
///
/// The corresponding C calls are `pthread_create`, `unshare(CLONE_FILES)` and `close_range`.
public struct SeparateWorker: ~Copyable, Sendable {
    /// The end that stays here. Closing it tells the worker to end.
    public let socket: UnixSocket
    private let thread: WorkerThread

    /// Starts `body` with the worker's end, once the thread is apart; it must return when a receive there says `closed`.
    /// Nothing that `body` holds may own a descriptor: those of this thread are closed in the other one's table.
    public init(named name: String, _ body: @escaping @Sendable (borrowing UnixSocket) -> Void) throws(Errno) {
        let pair = try UnixSocket.pair()
        let number = pair.second.descriptor.number
        let thread = try WorkerThread(named: name) {
            guard dmabuf_leave_table(UInt32(number)) == 0 else {
                // Still the common table, so the end is not this thread's to close; the other one reads the word.
                let shared = UnixSocket(socket: Descriptor(adopting: number))
                _ = try? shared.trySend([0].span)
                _ = shared.intoDescriptor().release()
                return
            }
            let end = UnixSocket(socket: Descriptor(adopting: number))
            guard (try? end.trySend([1].span)) == .sent else { return }
            body(end)
        }
        // Until then the thread needs the number in the common table.
        var word: [UInt8] = [0]
        do throws(ReceiveError) {
            _ = try pair.first.receive(into: &word, until: .after(.seconds(60)))
        } catch { throw .timedOut }
        guard word[0] == 1 else { throw .noMemory }
        self.socket = pair.first
        self.thread = thread
    }

    deinit { socket.shutdown() }

    /// Whether no other thread of this process uses the calling thread's table.
    ///
    /// The corresponding system call is `kcmp(KCMP_FILES)`; where the kernel has none, only a process with one thread is
    /// sure of it.
    public static var callerHasOwnTable: Bool { dmabuf_has_own_table() == 1 }
}
