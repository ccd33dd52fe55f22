// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import DMABufModel

@Suite("Slots by number")
struct NumberTableTests {
    /// Against a dictionary: numbers that were counted up, a restart's jump, ends in any order.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func agreesWithADictionary(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var (table, model) = (NumberTable<AttachmentID>(), [UInt64: Int32]())
        var last: UInt64 = 0
        for step in 0..<5000 {
            if step == 2500 { last = 1 << 40 }
            if random.next() % 5 < 3 || model.isEmpty {
                last += 1 + random.next() % 3
                let slot = Int32(random.next() % 1000)
                (table[AttachmentID(last)], model[last]) = (slot, slot)
            } else {
                // Most often one that is there, sometimes one that is not.
                let number = random.next() % 4 == 0 ? last + 1 : model.keys.randomElement(using: &random)!
                (table[AttachmentID(number)], model[number]) = (nil, nil)
            }
            let asked = random.next() % (last + 2)
            #expect(table[AttachmentID(asked)] == model[asked])
        }
        #expect(table.count == model.count)
        #expect(table.allSatisfy { model[$0.rawValue] == $1 })
        for (number, slot) in model { #expect(table[AttachmentID(number)] == slot) }
        #expect(table[AttachmentID(0)] == nil)
    }

    @Test("buffers' numbers of which one half is the same are told apart")
    func sharedHalf() {
        var table = NumberTable<BufferID>()
        for number in 0..<100 as Range<Slot> { table[BufferID(high: UInt64(number), low: 0)] = number }
        for number in stride(from: 0, to: 100, by: 3) { table[BufferID(high: UInt64(number), low: 0)] = nil }
        #expect(table.count == 66)
        for number in 0..<100 as Range<Slot> {
            #expect(table[BufferID(high: UInt64(number), low: 0)] == (number % 3 == 0 ? nil : number))
        }
        #expect(table[BufferID(high: 1, low: 1)] == nil)
    }
}
