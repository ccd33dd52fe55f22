// SPDX-License-Identifier: Apache-2.0

/// What the server carries out, in order.
public enum Effect: Hashable, Sendable {
    case answer(ClientID, RequestNumber, Answer)
    case notify(ClientID, Notice)
    /// Goes with the answer that follows it.
    case passDescriptor(BufferID, Generation, to: ClientID, AttachmentID)
    /// The server watches the fence's descriptor and reports its end.
    case watchFence(FenceID)
    /// Nobody needs it any more.
    case dropFence(FenceID)
    /// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`; only classes that the kernel lets userspace import.
    case importFence(FenceID, BufferID, Generation, Usage)
    /// Into memory of the exporter that is named, or of the best there is.
    case startCopy(BufferID, from: Generation, to: Generation, with: String? = nil)
    /// The copy is no longer wanted; the memory it filled is closed.
    case cancelCopy(BufferID, Generation)
    /// Look at the count and report it.
    case verifyRelease(BufferID, Generation)
    /// Close the registry's descriptors of this generation. Only verified memory may go into a pool.
    case release(BufferID, Generation, isVerified: Bool)
    case disconnect(ClientID, CutOffReason)
    /// Its process is to end; comes right before it is disconnected.
    case kill(ClientID)
    /// For those who begin accesses without asking, see ``Observation/accesses(_:_:)``: in force before what follows.
    case publish(BufferID, Published)
}

/// What those who look for themselves see of a buffer.
public struct Published: Hashable, Sendable {
    /// No access may begin; the last that ends is acknowledged.
    public var isMoving: Bool
    /// A fence is pending.
    public var hasFences: Bool
    /// Whatever was seen before is out of date: everyone asks before the next access.
    public var isRenewed: Bool

    public init(isMoving: Bool, hasFences: Bool, isRenewed: Bool) {
        self.isMoving = isMoving
        self.hasFences = hasFences
        self.isRenewed = isRenewed
    }
}

/// Why a connection is cut.
public enum CutOffReason: UInt8, Hashable, CaseIterable, Sendable {
    case slowReader
    case ignoredRevoke
    case ignoredLease
}

/// The effects of a step, appended in order. Its owner empties and reuses it, so a step allocates nothing.
public struct Effects: Sendable {
    public private(set) var list: [Effect] = []
    private var taken = 0

    public init(capacity: Int = 64) {
        if capacity > 0 { list.reserveCapacity(capacity) }
    }

    public var isEmpty: Bool { taken == list.count }
    public mutating func removeAll() {
        // One by one: there are few, and taking all of them at once is work of its own.
        while !list.isEmpty { list.removeLast() }
        taken = 0
    }
    mutating func append(_ effect: consuming Effect) { list.append(effect) }

    /// The next one, moved out and not copied. Who has begun to take goes on to the end.
    public mutating func takeNext() -> Effect {
        guard taken + 1 < list.count else {
            let last = list.removeLast()
            removeAll()
            return last
        }
        var effect = Effect.dropFence(FenceID(0))  // left in its place, for nobody
        swap(&effect, &list[taken])
        taken += 1
        return effect
    }
}
