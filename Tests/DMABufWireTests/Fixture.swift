// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A message as annotated hex, from `fixtures/wire` or from a block of PROTOCOL.md:
///
///     # what it is
///     @ descriptors 1      how many came with it
///     ! magic              only malformed ones: the WireError, and its field or count if it has one
///     44 4d 42 53 | the bytes of one field | and what they mean
struct Fixture: Sendable {
    var name: String
    var bytes: [UInt8] = []
    var descriptorCount = 0
    var expectedError: String?
    /// How many lines of bytes have a meaning beside them.
    var annotatedLines = 0
    var lines = 0

    init(named name: String, lines text: [Substring]) throws {
        self.name = name
        for line in text {
            switch line.first {
            case nil, "#": continue
            case "@": descriptorCount = try Self.count(in: line)
            case "!": expectedError = line.dropFirst().trimmingCharacters(in: .whitespaces)
            default: try read(line)
            }
        }
    }

    private mutating func read(_ line: Substring) throws {
        let halves = line.split(separator: "|", maxSplits: 1)
        lines += 1
        if halves.count == 2, halves[1].contains(where: { $0 != " " }) { annotatedLines += 1 }
        for pair in halves[0].split(separator: " ") {
            guard pair.utf8.count == 2, let byte = UInt8(pair, radix: 16) else { throw BadFixture(line: String(line)) }
            bytes.append(byte)
        }
    }

    private static func count(in line: Substring) throws -> Int {
        let words = line.split(separator: " ")
        guard words.count == 3, words[1] == "descriptors", let count = Int(words[2]) else {
            throw BadFixture(line: String(line))
        }
        return count
    }

    struct BadFixture: Error { var line: String }
}

extension Fixture: CustomTestStringConvertible {
    var testDescription: String { name }
}

extension Fixture {
    /// The top of the checkout, three folders above this file.
    static let top = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func named(_ name: String) throws -> Fixture {
        try Fixture(at: top.appendingPathComponent("fixtures/wire/\(name).hex"))
    }

    /// All in one folder under `fixtures/wire`, by name.
    static func all(in folder: String = "") throws -> [Fixture] {
        let folder = top.appendingPathComponent("fixtures/wire").appendingPathComponent(folder)
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "hex" }
            .sorted { $0.path < $1.path }
            .map { try Fixture(at: $0) }
    }

    private init(at file: URL) throws {
        let text = try String(contentsOf: file, encoding: .utf8)
        try self.init(
            named: file.deletingPathExtension().lastPathComponent,
            lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }

    /// The blocks of PROTOCOL.md that are marked as messages.
    static func inProtocolText() throws -> [Fixture] {
        let text = try String(contentsOf: top.appendingPathComponent("PROTOCOL.md"), encoding: .utf8)
        return try text.components(separatedBy: "```wire\n").dropFirst().enumerated().map { index, rest in
            let block = rest.components(separatedBy: "```")[0]
            return try Fixture(named: "PROTOCOL.md block \(index + 1)", lines: block.split(separator: "\n"))
        }
    }
}
