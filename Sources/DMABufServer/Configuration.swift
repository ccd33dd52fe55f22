// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufPolicy
public import DMABufSystem

/// How a registry is to serve.
public struct Configuration: Sendable {
    public var limits = Limits()
    /// What a worker is started as; it finds a socket at descriptor 3 and runs ``Worker/run(_:)``. nil: this registry makes
    /// no buffers and copies none.
    public var workerCommand: [CommandWord]?
    /// Make buffers for every user who may connect, and not for its own alone.
    public var allocatesForAll = false
    /// What is allowed whom, besides the rules.
    public var policy = Policy()
    /// Where it is read again when the daemon is told to (SIGHUP).
    public var policyFile: PolicyFile?
    /// Told when that begins (true) and when it is over.
    public var reloading: (@Sendable (Bool) -> Void)?

    /// Where the vault is that makes all of it survive this process. nil: nothing does.
    public var vault: VaultPlace?

    public init() {}

    /// Never promises more than `openFiles` descriptors allow: each client takes two, and at most one for the page of its
    /// user, each fence and each memory one, and some are kept for the daemon's own work. So the quota says no before the
    /// kernel does.
    public mutating func fit(openFiles: UInt64) {
        limits.clients = UInt32(min(UInt64(limits.clients), openFiles / 8))
        let spare = 3 * UInt64(limits.clients) + 64
        limits.descriptors = min(limits.descriptors, openFiles - min(openFiles, spare))
    }
}
