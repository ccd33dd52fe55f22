// SPDX-License-Identifier: Apache-2.0

/// SplitMix64: the same words from the same seed, on every machine and for ever.
package struct RandomWords: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    static func mix(_ word: UInt64) -> UInt64 {
        var mixed = word
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    package mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    mutating func oneIn(_ bound: Int) -> Bool { below(bound) == 0 }

    mutating func element<Element>(of list: [Element]) -> Element { list[below(list.count)] }

    /// One that fits, by the highest mixed label. Taking a step out of a run adds or removes candidates, and this way the
    /// other steps go on choosing what they chose before, so that a failing run shrinks well.
    mutating func choose<Element>(
        _ list: [Element], labelled label: (Element) -> UInt64, where fits: (Element) -> Bool
    ) -> Int? {
        let salt = next()
        var best: Int?
        var highest: UInt64 = 0
        for index in list.indices where fits(list[index]) {
            let height = Self.mix(label(list[index]) ^ salt)
            if best == nil || height > highest { (best, highest) = (index, height) }
        }
        return best
    }
}
