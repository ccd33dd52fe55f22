// SPDX-License-Identifier: Apache-2.0

/// A number that a registry or its server gives, and never twice.
protocol RegistryNumber: Equatable, Sendable {
    /// Any.
    static var zero: Self { get }
    /// No two numbers that are kept have the same, save by chance.
    var bits: UInt64 { get }
}

/// Slots by number: each request finds its client and its attachment in one of these.
///
/// Open addressing with linear probing. Whoever asks chooses what is looked up and never what is kept, and what is kept was
/// counted up or drawn by the server: so a hash that nobody can foresee, which `Dictionary` pays for, has nothing to protect.
struct NumberTable<Number: RegistryNumber>: Sendable {
    private struct Entry {
        var number = Number.zero
        /// Negative: free.
        var slot: Slot = -1
        var isFree: Bool { slot < 0 }
    }

    private var entries = [Entry](repeating: Entry(), count: 8)
    private(set) var count = 0

    subscript(number: Number) -> Slot? {
        get {
            let entry = entries[find(number)]
            return entry.isFree ? nil : entry.slot
        }
        set { if let newValue { insert(number, newValue) } else { remove(number) } }
    }

    func allSatisfy(_ isMet: (Number, Slot) -> Bool) -> Bool {
        entries.allSatisfy { $0.isFree || isMet($0.number, $0.slot) }
    }

    /// Where it would be if it were alone. The table's size is a power of two.
    private func home(_ number: Number) -> Int {
        Int(truncatingIfNeeded: (number.bits &* 0x9e37_79b9_7f4a_7c15) >> 32) & (entries.count - 1)
    }

    /// Where it is, or the free entry where it would go; half of all entries are free.
    private func find(_ number: Number) -> Int {
        var index = home(number)
        while !entries[index].isFree, entries[index].number != number { index = (index + 1) & (entries.count - 1) }
        return index
    }

    private mutating func insert(_ number: Number, _ slot: Slot) {
        var index = find(number)
        if entries[index].isFree {
            if (count + 1) * 2 > entries.count {
                grow()
                index = find(number)
            }
            count += 1
        }
        entries[index] = Entry(number: number, slot: slot)
    }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: old.count * 2)
        for entry in old where !entry.isFree { entries[find(entry.number)] = entry }
    }

    /// What follows without a gap moves up, unless it is at home there.
    private mutating func remove(_ number: Number) {
        var gap = find(number)
        guard !entries[gap].isFree else { return }
        let mask = entries.count - 1
        var index = (gap + 1) & mask
        while !entries[index].isFree {
            let distance = (index - home(entries[index].number)) & mask
            if distance >= (index - gap) & mask {
                entries[gap] = entries[index]
                gap = index
            }
            index = (index + 1) & mask
        }
        entries[gap] = Entry()
        count -= 1
    }
}

extension ClientID: RegistryNumber {
    static let zero = ClientID(0)
    var bits: UInt64 { rawValue }
}

extension AttachmentID: RegistryNumber {
    static let zero = AttachmentID(0)
    var bits: UInt64 { rawValue }
}

extension FenceID: RegistryNumber {
    static let zero = FenceID(0)
    var bits: UInt64 { rawValue }
}

extension BufferID: RegistryNumber {
    static let zero = BufferID(high: 0, low: 0)
    /// Half of a random number tells as much as the whole.
    var bits: UInt64 { low }
}
