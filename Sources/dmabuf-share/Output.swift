// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufSystem
import FoundationEssentials
import SystemPackage

/// What a command found: one value, shown as a table to people and as JSON to programs.
protocol Report: Encodable {
    var text: String { get }
}

/// Prints a report on standard output.
func emit<R: Report>(_ report: R, json: Bool) throws {
    try write(words(of: report, json: json))
}

private func words<R: Report>(of report: R, json: Bool) throws -> String {
    try json ? encode(report) + "\n" : report.text
}

/// Prints a report on standard error, where standard output has something else.
func emitAside<R: Report>(_ report: R, json: Bool) throws {
    try? StandardStream.error.write((json ? "" : "dmabuf-share: ") + words(of: report, json: json))
}

/// One line of JSON with `"schema": 1`.
func encode<Value: Encodable>(_ value: Value) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(Versioned(value: value)), as: UTF8.self)
}

/// Puts the schema's number beside a report's own keys.
private struct Versioned<Value: Encodable>: Encodable {
    let value: Value

    enum CodingKeys: CodingKey { case schema }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(1, forKey: .schema)
        try value.encode(to: encoder)
    }
}

/// Writes to standard output at once. A reader that has gone has read enough: the work goes on, and its status is true.
func write(_ text: String) throws {
    do { try writeForReader(text) } catch is ReaderGone {}
}

/// As above, of work that has no end but for its reader: see ``ReaderGone``.
func emitForReader<R: Report>(_ report: R, json: Bool) throws {
    try writeForReader(words(of: report, json: json))
}

private func writeForReader(_ text: String) throws {
    try saying { () throws(Errno) in try StandardStream.output.write(text) }
}

/// As ``write(_:)``, of bytes.
func write(_ bytes: [UInt8]) throws {
    do { try saying { () throws(Errno) in try StandardStream.output.write(bytes) } } catch is ReaderGone {}
}

private func saying(_ write: () throws(Errno) -> Void) throws {
    do throws(Errno) { try write() } catch {
        if error == .brokenPipe { throw ReaderGone() }
        throw OutputError(cause: error)
    }
}

/// Whoever read standard output has read enough. It ends a command, with 0.
struct ReaderGone: Error {}

/// What was found, or done, could not be said.
struct OutputError: ToldError {
    let cause: Errno
    var status: Int32 { Status.failed }

    var explained: DMABufError {
        DMABufError(
            .failed, "what was found or done could not be written to standard output: \(cause)", cause: cause,
            remedy: "make room, or write elsewhere")
    }
}

/// Columns as wide as their widest cell, two spaces apart.
struct Table {
    private var rows: [[String]]

    init(_ header: [String]) {
        rows = [header]
    }

    mutating func add(_ cells: [String]) {
        rows.append(cells)
    }

    var text: String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let line = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
                .joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
        }.joined()
    }
}

/// "1.5 MiB" for people; JSON has the integer.
func humanBytes(_ count: UInt64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"]
    guard count >= 1024 else { return "\(count) B" }
    var value = Double(count) / 1024
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
}

/// "2.3 ms" for people; JSON has nanoseconds.
func humanTime(_ duration: Duration) -> String {
    let microseconds = Int(duration.clampedNanoseconds / 1000)
    if microseconds < 1000 { return "\(microseconds) µs" }
    if microseconds < 1_000_000 { return "\(microseconds / 1000).\(microseconds / 100 % 10) ms" }
    return "\(microseconds / 1_000_000).\(microseconds / 100_000 % 10) s"
}
