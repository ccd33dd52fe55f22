// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufSystem
import SystemPackage

/// One step of the demo: what happened, whether it was right, and how long it took.
struct DemoStep: Encodable, Sendable {
    enum Outcome: String, Encodable, Sendable {
        case ok, failed
        /// An importer whose stated capabilities exclude the buffer: no failure.
        case refused
    }

    let id: String
    let outcome: Outcome
    let detail: String
    let nanoseconds: UInt64

    enum CodingKeys: String, CodingKey {
        case id, outcome, detail
        case nanoseconds = "duration_ns"
    }

    var line: String {
        let mark = outcome == .ok ? "ok" : outcome.rawValue
        let time = humanTime(.nanoseconds(Int64(clamping: nanoseconds)))
        return "  \(pad(mark, 8))\(pad(id, 22))\(pad(time, 10))\(detail)\n"
    }
}

/// A demo step that failed; its text says how.
struct DemoFailure: Error {
    let text: String

    init(_ text: String) {
        self.text = text
    }
}

private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

/// How a demo process and its supervisor talk: a datagram of text each, over a socket that the process was started with.
struct DemoChannel: ~Copyable {
    private let socket: UnixSocket
    static let patience: Duration = .seconds(20)

    init(_ socket: consuming UnixSocket) {
        self.socket = socket
    }

    func send(_ text: String) throws(DMABufError) {
        do throws(Errno) {
            try socket.send(Array(text.utf8).span, until: .after(Self.patience))
        } catch { throw .system("talk to the other side of the demo", error) }
    }

    /// The next text; throws `gone` when the other side has ended.
    func receive() throws(DMABufError) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        do throws(ReceiveError) {
            let received = try socket.receive(into: &buffer, until: .after(Self.patience))
            return String(decoding: buffer.prefix(received.byteCount), as: UTF8.self)
        } catch {
            throw DMABufError(error == .system(.timedOut) ? .deadline : .gone, "the other side of the demo: \(error)")
        }
    }

    func report(_ step: DemoStep) throws(DMABufError) {
        try send("step\t\(step.id)\t\(step.outcome.rawValue)\t\(step.nanoseconds)\t\(step.detail.escapedForDisplay)")
    }

    /// Runs a step, times it and reports it; a failure is reported and ends the process.
    func step(_ id: String, _ work: () throws -> String) throws {
        let start = Deadline.now()
        func finish(_ outcome: DemoStep.Outcome, _ detail: String) throws {
            let spent = Deadline.now().nanoseconds - start.nanoseconds
            try report(DemoStep(id: id, outcome: outcome, detail: detail, nanoseconds: spent))
        }
        do {
            let detail = try work()
            try finish(.ok, detail)
        } catch let error as DMABufError where error.code == .refused {
            try finish(.refused, "refused: \(error.message)")
        } catch let error as DMABufError {
            try finish(.failed, error.message)
            throw error
        } catch let error as RegistryError {
            try finish(.failed, error.asError.message)
            throw error
        } catch let error as DemoFailure {
            try finish(.failed, error.text)
            throw error
        }
    }
}

extension DemoStep {
    /// From its line on the channel; nil for anything else.
    init?(parsing text: String) {
        let fields = text.split(separator: "\t", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 5, fields[0] == "step", let outcome = Outcome(rawValue: fields[2]),
            let nanoseconds = UInt64(fields[3])
        else { return nil }
        self.init(id: fields[1], outcome: outcome, detail: fields[4], nanoseconds: nanoseconds)
    }
}
