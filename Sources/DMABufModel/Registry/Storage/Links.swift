// SPDX-License-Identifier: Apache-2.0

/// A list of slots in order, linked through ``Links``.
struct Chain: Sendable {
    fileprivate(set) var first: Slot?
    fileprivate(set) var last: Slot?
    fileprivate(set) var count = 0
}

/// The links of all chains of one kind: an element lies in at most one chain of a kind, so adding and removing cost the
/// same however long a chain is, and allocate nothing.
struct Links: Sendable {
    private var next: [Slot?] = []
    private var previous: [Slot?] = []

    func after(_ slot: Slot) -> Slot? { next[Int(slot)] }

    mutating func append(_ slot: Slot, to chain: inout Chain) {
        while next.count <= Int(slot) {
            next.append(nil)
            previous.append(nil)
        }
        next[Int(slot)] = nil
        previous[Int(slot)] = chain.last
        if let last = chain.last { next[Int(last)] = slot } else { chain.first = slot }
        chain.last = slot
        chain.count += 1
    }

    mutating func remove(_ slot: Slot, from chain: inout Chain) {
        let before = previous[Int(slot)]
        let after = next[Int(slot)]
        if let before { next[Int(before)] = after } else { chain.first = after }
        if let after { previous[Int(after)] = before } else { chain.last = before }
        chain.count -= 1
    }

    /// The chain as an array. For walks over everything, and for answers.
    func slots(of chain: Chain) -> [Slot] {
        var slots: [Slot] = []
        var cursor = chain.first
        while let slot = cursor, slots.count <= chain.count {
            slots.append(slot)
            cursor = after(slot)
        }
        return slots
    }
}
