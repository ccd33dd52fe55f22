// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem

/// How a registry is to serve.
public struct Configuration: Sendable {
    public var limits = Limits()
    /// What a worker is started as; it finds a socket at descriptor 3 and runs ``Worker/run(_:)``. nil: this registry makes
    /// no buffers and copies none.
    public var workerCommand: [CommandWord]?
    /// Make buffers for every user who may connect, and not for its own alone.
    public var allocatesForAll = false

    public init() {}
}
