// SPDX-License-Identifier: Apache-2.0

/// Where something lies in a slab.
typealias Slot = Int32

/// Elements in slots. A freed slot is used again, so a slab that has grown to its size allocates nothing more.
struct Slab<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var isUsed: [Bool] = []
    private var free: [Slot] = []
    private(set) var count = 0

    mutating func insert(_ element: consuming Element) -> Slot {
        count += 1
        guard let slot = free.popLast() else {
            elements.append(element)
            isUsed.append(true)
            return Slot(elements.count - 1)
        }
        elements[Int(slot)] = element
        isUsed[Int(slot)] = true
        return slot
    }

    /// What lay there stays in memory until the slot is used again; nobody can reach it.
    mutating func remove(_ slot: Slot) {
        precondition(isUsed[Int(slot)], "slot \(slot) is free already")
        isUsed[Int(slot)] = false
        free.append(slot)
        count -= 1
    }

    subscript(slot: Slot) -> Element {
        _read {
            precondition(isUsed[Int(slot)], "slot \(slot) is free")
            yield elements[Int(slot)]
        }
        _modify {
            precondition(isUsed[Int(slot)], "slot \(slot) is free")
            yield &elements[Int(slot)]
        }
    }

    /// One past the last slot that was ever used.
    var end: Slot { Slot(elements.count) }

    func contains(_ slot: Slot) -> Bool { slot >= 0 && slot < end && isUsed[Int(slot)] }

    /// Every slot in use, in order. For walks over everything.
    var slots: [Slot] { isUsed.indices.filter { isUsed[$0] }.map(Slot.init) }
}
