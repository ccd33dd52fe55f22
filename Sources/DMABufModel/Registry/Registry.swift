// SPDX-License-Identifier: Apache-2.0

/// The sharing registry as a value: who asks, what happened and what time it is go in; effects come out.
public struct Registry: Sendable {
    public let limits: Limits

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// A client whose identity the kernel has certified.
    public mutating func connect(
        _ identity: Identity, at now: Instant, into effects: inout Effects
    ) throws(Refusal) -> ClientID {
        fatalError()
    }

    /// One request. A refusal is its answer; nothing has changed then.
    public mutating func handle(
        _ request: Request, numbered number: RequestNumber, from client: ClientID, at now: Instant,
        into effects: inout Effects
    ) {
        fatalError()
    }

    public mutating func observe(_ observation: Observation, at now: Instant, into effects: inout Effects) {
        fatalError()
    }

    /// When ``expire(at:into:)`` is due next; nil while nothing waits.
    public var nextDeadline: Instant? { nil }

    /// Everything whose deadline is at or before `now`.
    public mutating func expire(at now: Instant, into effects: inout Effects) {
        fatalError()
    }

    /// What is inconsistent: nothing, ever. Walks everything; for tests and the simulator.
    public func problems() -> [String] { [] }

    /// What a uid is charged with, all zero once it is gone.
    public func ledger(of uid: UInt32) -> Ledger { Ledger() }

    /// The sum over all uids: zero at teardown.
    public var ledger: Ledger { Ledger() }
}

/// How much of each resource is charged.
public struct Ledger: Hashable, Sendable {
    public private(set) var amounts = InlineAmounts()
    public init() {}

    public subscript(resource: Resource) -> UInt64 {
        get { amounts[resource] }
        set { amounts[resource] = newValue }
    }

    public var isZero: Bool { self == Ledger() }
}

/// One number per resource, without an allocation.
public struct InlineAmounts: Hashable, Sendable {
    var buffers: UInt64 = 0
    var bytes: UInt64 = 0
    var descriptors: UInt64 = 0
    var pinnedBytes: UInt64 = 0
    var attachments: UInt64 = 0
    var quarantinedBytes: UInt64 = 0
    var notices: UInt64 = 0
    subscript(resource: Resource) -> UInt64 {
        get { 0 }
        set { _ = newValue }
    }
}
