// SPDX-License-Identifier: Apache-2.0

/// What happened in the world, as the server saw it.
public enum Observation: Hashable, Sendable {
    /// Certified by the kernel (the socket's end, a pidfd), never a missed heartbeat.
    case clientDied(ClientID)
    /// The answer to ``Effect/verifyRelease(_:_:)``.
    case count(BufferID, Generation, Count)
    /// The server's worker has filled the new memory.
    case copyDone(BufferID, Generation, Backing)
    case copyFailed(BufferID, Generation)
    /// The first signal; a second changes nothing.
    case fenceEnded(FenceID, FenceEnd)
    /// This many notices have left the client's queue.
    case delivered(ClientID, notices: UInt32)
    /// The attachment counts its accesses in a word that the server reads, and so many were under way just now: looked at
    /// before a move is decided, and good for that one decision.
    case accesses(AttachmentID, UInt32)
}

/// The `count:` line of a dma-buf's fdinfo, compared with what the registry's own descriptors explain.
public enum Count: Hashable, Sendable {
    case atBaseline
    case raised(by: UInt32)
    /// This memory has no such oracle.
    case untold
}

public enum FenceEnd: Hashable, Sendable {
    case ok
    case error(Int32)
}
