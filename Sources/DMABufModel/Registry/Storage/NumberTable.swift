// SPDX-License-Identifier: Apache-2.0

/// A number that the registry gives, never zero and never twice.
protocol RegistryNumber: Sendable {
    var rawValue: UInt64 { get }
    init(_ rawValue: UInt64)
}

/// Slots by number: each request finds its client and its attachment in one of these.
///
/// Open addressing with linear probing. Whoever asks chooses what is looked up and never what is kept, and what is kept was
/// counted up: so a hash that nobody can foresee, which `Dictionary` pays for, has nothing to protect.
struct NumberTable<Number: RegistryNumber>: Sendable {
    private struct Entry {
        /// Zero: free.
        var number: UInt64 = 0
        var slot: Slot = 0
    }

    private var entries = [Entry](repeating: Entry(), count: 8)
    private(set) var count = 0

    subscript(number: Number) -> Slot? {
        get {
            let index = find(number.rawValue)
            return entries[index].number == 0 ? nil : entries[index].slot
        }
        set {
            precondition(number.rawValue != 0, "zero is no number")
            if let newValue { insert(number.rawValue, newValue) } else { remove(number.rawValue) }
        }
    }

    func allSatisfy(_ isMet: (Number, Slot) -> Bool) -> Bool {
        entries.allSatisfy { $0.number == 0 || isMet(Number($0.number), $0.slot) }
    }

    /// Where it would be if it were alone. The table's size is a power of two.
    private func home(_ number: UInt64) -> Int {
        Int(truncatingIfNeeded: (number &* 0x9e37_79b9_7f4a_7c15) >> 32) & (entries.count - 1)
    }

    /// Where it is, or the free entry where it would go; half of all entries are free.
    private func find(_ number: UInt64) -> Int {
        var index = home(number)
        while entries[index].number != number, entries[index].number != 0 { index = (index + 1) & (entries.count - 1) }
        return index
    }

    private mutating func insert(_ number: UInt64, _ slot: Slot) {
        var index = find(number)
        if entries[index].number == 0 {
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
        for entry in old where entry.number != 0 { entries[find(entry.number)] = entry }
    }

    /// What follows without a gap moves up, unless it is at home there.
    private mutating func remove(_ number: UInt64) {
        var gap = find(number)
        guard entries[gap].number != 0 else { return }
        let mask = entries.count - 1
        var index = (gap + 1) & mask
        while entries[index].number != 0 {
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

extension ClientID: RegistryNumber {}
extension AttachmentID: RegistryNumber {}
extension FenceID: RegistryNumber {}
