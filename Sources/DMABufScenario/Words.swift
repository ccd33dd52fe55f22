// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// The words of a line, taken from the left.
struct Words {
    private var words: ArraySlice<String>
    private let line: Int

    init(_ words: [String], line: Int) {
        self.words = words[...]
        self.line = line
    }

    var isEmpty: Bool { words.isEmpty }
    var first: String? { words.first }

    func fail(_ problem: String) -> ScenarioError { ScenarioError(line: line, problem) }

    mutating func take(_ word: String) -> Bool {
        guard words.first == word else { return false }
        words.removeFirst()
        return true
    }

    mutating func word() throws(ScenarioError) -> String {
        guard let word = words.popFirst() else { throw fail("the line ends too early") }
        return word
    }

    mutating func expect(_ word: String) throws(ScenarioError) {
        guard take(word) else { throw fail("expected '\(word)', found '\(words.first ?? "the end")'") }
    }

    func end() throws(ScenarioError) {
        if let word = words.first { throw fail("'\(word)' is one word too many") }
    }

    mutating func number() throws(ScenarioError) -> UInt64 {
        let word = try word()
        guard let number = UInt64(word) else { throw fail("'\(word)' is no number") }
        return number
    }

    mutating func small() throws(ScenarioError) -> UInt32 {
        let number = try number()
        guard let small = UInt32(exactly: number) else { throw fail("\(number) is too large") }
        return small
    }

    /// A letter and a number: `c1`.
    mutating func number(after letter: Character) throws(ScenarioError) -> UInt64 {
        let word = try word()
        guard word.first == letter, let number = UInt64(word.dropFirst()) else {
            throw fail("expected '\(letter)' and a number, found '\(word)'")
        }
        return number
    }

    /// `b7`, or `b1.7` where the upper half is not zero.
    mutating func wide(after letter: Character) throws(ScenarioError) -> (high: UInt64, low: UInt64) {
        let word = try word()
        let halves = word.dropFirst().split(separator: ".").map { UInt64($0) }
        switch (word.first == letter, halves.count) {
        case (true, 1): if let low = halves[0] { return (0, low) }
        case (true, 2): if let high = halves[0], let low = halves[1] { return (high, low) }
        default: break
        }
        throw fail("expected '\(letter)' and a number, found '\(word)'")
    }

    mutating func interval() throws(ScenarioError) -> Interval {
        let word = try word()
        for (unit, factor) in [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)] as [(String, UInt64)]
        where word.hasSuffix(unit) {
            guard let count = UInt64(word.dropLast(unit.count)) else { continue }
            let (nanoseconds, overflow) = count.multipliedReportingOverflow(by: factor)
            if !overflow { return Interval(nanoseconds: nanoseconds) }
        }
        throw fail("'\(word)' is no time: 5ms")
    }

    /// One of the cases, by its name.
    mutating func choice<Choice: CaseIterable>(_: Choice.Type) throws(ScenarioError) -> Choice {
        let word = try word()
        for choice in Choice.allCases where "\(choice)" == word { return choice }
        throw fail("'\(word)' is none of \(Choice.allCases)")
    }

    mutating func client() throws(ScenarioError) -> ClientID { ClientID(try number(after: "c")) }
    mutating func attachment() throws(ScenarioError) -> AttachmentID { AttachmentID(try number(after: "a")) }
    mutating func fence() throws(ScenarioError) -> FenceID { FenceID(try number(after: "f")) }
    mutating func lockNumber() throws(ScenarioError) -> LockNumber { LockNumber(try number(after: "l")) }
    mutating func generation() throws(ScenarioError) -> Generation { Generation(try number(after: "g")) }
    mutating func buffer() throws(ScenarioError) -> BufferID {
        let wide = try wide(after: "b")
        return BufferID(high: wide.high, low: wide.low)
    }
    mutating func token() throws(ScenarioError) -> TokenID {
        let wide = try wide(after: "t")
        return TokenID(high: wide.high, low: wide.low)
    }

    mutating func limit(_ limits: inout Limits) throws(ScenarioError) {
        let name = try word()
        switch name {
        case "buffers": limits.buffers = try number()
        case "bytes": limits.bytes = try number()
        case "descriptors": limits.descriptors = try number()
        case "pinnedBytes": limits.pinnedBytes = try number()
        case "attachments": limits.attachments = try number()
        case "quarantinedBytes": limits.quarantinedBytes = try number()
        case "notices": limits.notices = try number()
        case "clients": limits.clients = try small()
        case "noticesPerClient": limits.noticesPerClient = try small()
        case "fencesPerBuffer": limits.fencesPerBuffer = try small()
        case "waitsPerClient": limits.waitsPerClient = try small()
        case "buffersPerLock": limits.buffersPerLock = try small()
        case "tokensPerBuffer": limits.tokensPerBuffer = try small()
        case "sharesPerBuffer": limits.sharesPerBuffer = try small()
        case "namesPerBuffer": limits.namesPerBuffer = try small()
        case "delegationDepth": limits.delegationDepth = try small()
        default: throw fail("there is no limit '\(name)'")
        }
    }
}
