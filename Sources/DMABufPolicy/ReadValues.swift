// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Words {
    mutating func subject() throws(PolicyError) -> Subject {
        switch try choice("who somebody is", of: [("uid", 0), ("group", 1), ("everyone", 2)]) {
        case 0: .user(try id("uid"))
        case 1: .group(try id("gid"))
        default: .everyone
        }
    }

    /// `of own`, or nothing.
    mutating func whose() throws(PolicyError) -> Whose {
        guard take("of") else { return .anyones }
        return switch try choice("whose buffers", of: [("own", 0), ("others", 1), ("uid", 2)]) {
        case 0: .own
        case 1: .others
        default: .user(try id("uid"))
        }
    }

    mutating func audience() throws(PolicyError) -> Share.Audience? {
        if take("everyone") { return .everyone }
        if take("uid") { return .user(try id("uid")) }
        if take("group") { return .group(try id("gid")) }
        return nil
    }

    /// A number of 32 bits; all bits set are nobody's.
    mutating func id(_ what: String) throws(PolicyError) -> UInt32 {
        let word = try word("a \(what), which is a number")
        guard let number = decimal(word.text), let id = UInt32(exactly: number), id != .max else {
            throw fail("\(word.quoted) is not a \(what): a number from 0 to \(UInt32.max - 1)", at: word)
        }
        return id
    }

    /// Digits alone, as many as fit.
    private func decimal(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(text)
    }

    mutating func amount(of resource: Resource) throws(PolicyError) -> UInt64 {
        let isBytes = [.bytes, .pinnedBytes, .quarantinedBytes].contains(resource)
        let what = isBytes ? "an amount: 4096, 64KiB, 8MiB, 4GiB, 1TiB or unlimited" : "a count or unlimited"
        let word = try word(what)
        if word.text == "unlimited" { return .max }
        let digits = word.text.prefix { $0.isNumber }
        let units: [(String, UInt64)] = [
            ("", 0), ("KiB", 10), ("K", 10), ("MiB", 20), ("M", 20), ("GiB", 30), ("G", 30), ("TiB", 40), ("T", 40),
        ]
        let unit = units.first { $0.0 == word.text.dropFirst(digits.count) }
        guard let count = decimal(digits), let unit, isBytes || unit.1 == 0 else {
            throw fail("\(word.quoted) is not \(what)", at: word)
        }
        let (amount, overflow) = count.multipliedReportingOverflow(by: 1 << unit.1)
        guard !overflow else { throw fail("\(word.quoted) is too large", at: word) }
        return amount
    }

    mutating func time(atMost longest: Interval) throws(PolicyError) -> Interval {
        let word = try word("a time: 500ms, 30s, 5min, 1h")
        let digits = word.text.prefix { $0.isNumber }
        let units: [(String, UInt64)] = [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)]
        guard let count = decimal(digits), let unit = units.first(where: { $0.0 == word.text.dropFirst(digits.count) })
        else { throw fail("\(word.quoted) is not a time: 500ms, 30s, 5min, 1h", at: word) }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: unit.1)
        let limit = longest.nanoseconds / 1_000_000
        guard !overflow, milliseconds > 0, milliseconds <= limit else {
            throw fail("\(word.quoted) is not between 1ms and \(limit / 1000)s", at: word)
        }
        return .milliseconds(milliseconds)
    }

    static let rights: [(String, Rights)] = [
        ("read", .attachRead), ("write", .attachWrite), ("fence", .fence), ("pin", .pin), ("move", .move),
        ("revoke", .revoke), ("delegate", .delegate), ("inspect", .inspect), ("all", .all),
    ]

    mutating func rights(orAudience: Bool = false) throws(PolicyError) -> Rights {
        try rights("a right", of: Self.rights, orElse: orAudience ? ["uid", "group", "everyone"] : [])
    }

    mutating func access() throws(PolicyError) -> Rights {
        try rights("an access", of: Array(Self.rights.prefix(2)), orElse: ["of"])
    }

    private mutating func rights(_ what: String, of known: [(String, Rights)], orElse others: [String])
        throws(PolicyError) -> Rights
    {
        var rights: Rights = []
        for part in try parts(what) {
            guard let right = known.first(where: { $0.0 == part.text }) else {
                throw unknown(part, what, known.map(\.0) + others)
            }
            rights.formUnion(right.1)
        }
        return rights
    }

    mutating func exporters() throws(PolicyError) -> [ExporterName] {
        var names: [ExporterName] = []
        for part in try parts("an exporter") {
            let kind = part.text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = kind.first, ExporterName.kinds.contains(String(first)) else {
                let word = Word(text: String(kind.first ?? ""), column: part.column)
                throw unknown(word, "an exporter", ExporterName.kinds)
            }
            guard part.text.utf8.count <= 64, kind.count == 1 || !kind[1].isEmpty else {
                throw fail("\(part.quoted) is not an exporter: heap:system, dumb:card0", at: part)
            }
            names.append(ExporterName(text: part.text))
        }
        return names
    }

    /// What stands between the commas of a word.
    private mutating func parts(_ what: String) throws(PolicyError) -> [Word] {
        let word = try word(what)
        var parts: [Word] = []
        var column = word.column
        for part in word.text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !part.isEmpty else { throw fail("beside a comma is missing \(what)", at: column) }
            parts.append(Word(text: String(part), column: column))
            column += part.utf8.count + 1
        }
        return parts
    }
}
