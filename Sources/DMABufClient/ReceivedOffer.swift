// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufConnection
public import DMABufModel
public import DMABufSystem
import DMABufWire

/// A buffer that another process offered, checked: every descriptor is what it was called, every plane is in memory.
public struct ReceivedOffer: Sendable {
    public let buffer: DescribedBuffer
    /// What the sender means us to do. On a dma-buf this is a request and not a barrier.
    public let access: Access
    /// The sender's choice, free of control characters.
    public let name: String
    /// Of the content once the fences have ended, if the sender knew it.
    public let checksum: Checksum?
    public let fences: [ReceivedFence]

    public struct ReceivedFence: Sendable {
        public let fence: Fence
        public let usage: Usage
        public let deadline: Deadline
    }

    /// The longest that a fence may promise, whatever a peer says.
    public static let fenceLimit: Duration = .seconds(10)

    /// Waits for the fences that `access` has to wait for, in the kernel's order of classes: each to its own deadline, and
    /// none past `limit`.
    public func waitForFences(
        before access: Access, until limit: Deadline = Deadline(nanoseconds: .max)
    ) throws(DMABufError) {
        let highest = Usage.waited(before: access)
        for promise in fences where promise.usage <= highest {
            if case .failed(let error) = try promise.fence.wait(until: min(promise.deadline, limit)) {
                throw DMABufError(.failed, "the work that a fence stood for failed: \(error)", cause: error)
            }
        }
    }

    struct Problem: Error {
        let refusal: OfferRefusal
        let error: DMABufError

        init(_ error: DMABufError, _ reason: OfferRefusal.Reason) {
            refusal = OfferRefusal(reason, Wire.reason(error.message.escapedForDisplay))
            self.error = error
        }
    }
}

extension ReceivedOffer {
    /// Takes the descriptors of an offer; whatever is not kept is closed by the list, before the peer is told.
    init(_ incoming: consuming IncomingOffer) throws(Problem) {
        let offer = incoming.envelope.offer
        var descriptors = incoming.descriptors
        do throws(DMABufError) {
            let memory = try descriptors.takeMemory(of: offer)
            let fences = try descriptors.takeFences(of: offer)
            let buffer = try DescribedBuffer(offer.description, memory: memory)
            self.init(
                buffer: buffer, access: offer.access, name: offer.name, checksum: offer.checksum, fences: fences)
        } catch {
            throw Problem(error, error.refusalReason)
        }
    }
}

extension DescriptorList {
    /// Most have one memory, for which no list has to grow.
    fileprivate mutating func takeMemory(of offer: Offer) throws(DMABufError) -> [DMABuffer] {
        let count = offer.description.sizes.count
        if count == 1 { return [try takeMemory(offer.backing, for: offer.access)] }
        return try (0..<count).map { (_) throws(DMABufError) in try takeMemory(offer.backing, for: offer.access) }
    }

    fileprivate mutating func takeFences(of offer: Offer) throws(DMABufError) -> [ReceivedOffer.ReceivedFence] {
        if offer.fences.isEmpty { return [] }
        return try ReceivedOffer.ReceivedFence.take(offer.fences, &self)
    }

    private mutating func takeMemory(_ backing: MemoryKind, for access: Access) throws(DMABufError) -> DMABuffer {
        let buffer = try DMABuffer(adopting: takeFirst()!)
        guard buffer.kind == backing.kind else {
            throw DMABufError(.notADMABuf, "a \(buffer.kind.rawValue) was offered as a \(backing)")
        }
        guard !access.contains(.write) || buffer.isWritable else {
            throw DMABufError(.notADMABuf, "a \(buffer.kind.rawValue) was offered to write and can only be read")
        }
        return buffer
    }
}

extension ReceivedOffer.ReceivedFence {
    /// The longest counts from here, where the message has just come.
    fileprivate static func take(
        _ offered: [OfferedFence], _ descriptors: inout DescriptorList
    ) throws(DMABufError) -> [Self] {
        let (arrival, longest) = (Deadline.now().nanoseconds, ReceivedOffer.fenceLimit.clampedNanoseconds)
        return try offered.map { (offered) throws(DMABufError) in
            let fence = try Fence(adopting: descriptors.takeFirst()!)
            guard fence.kind == offered.kind.fenceKind else {
                throw DMABufError(.notADMABuf, "a \(fence.kind.rawValue) was offered as a \(offered.kind)")
            }
            let deadline = Deadline(nanoseconds: arrival + min(offered.within, longest))
            return Self(fence: fence, usage: offered.usage, deadline: deadline)
        }
    }
}

extension DMABufError {
    fileprivate var refusalReason: OfferRefusal.Reason {
        switch code {
        case .invalid: .description
        case .unsealed: .unsealed
        case .notADMABuf: .wrongKind
        default: .unwanted
        }
    }
}

extension MemoryKind {
    var kind: DMABuffer.Kind {
        switch self {
        case .dmaBuf: .dmaBuf
        case .memfd: .memfd
        }
    }
}

extension OfferedFence.Kind {
    fileprivate var fenceKind: Fence.Kind {
        switch self {
        case .syncFile: .syncFile
        case .eventfd: .eventfd
        case .pidfd: .pidfd
        }
    }
}
