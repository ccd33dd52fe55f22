// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufSystem
import FoundationEssentials

/// The exit statuses of the tool, which programs rely on.
enum Status {
    static let failed: Int32 = 1
    /// This machine has not what it takes.
    static let unavailable: Int32 = 2
    static let noRegistry: Int32 = 3
    static let refused: Int32 = 4
    static let usage: Int32 = 64
    static let deadline: Int32 = 124
    static let notExecutable: Int32 = 126
    static let notFound: Int32 = 127
}

extension DMABufError {
    var status: Int32 {
        switch code {
        case .unavailable, .unsupported: Status.unavailable
        case .noRegistry: Status.noRegistry
        case .refused: Status.refused
        case .deadline: Status.deadline
        default: Status.failed
        }
    }
}

/// What is told as an error of the library's is, with a status of its own.
protocol ToldError: Error {
    var explained: DMABufError { get }
    var status: Int32 { get }
}

/// Runs a command's work; what it throws is told on standard error (as JSON where JSON was asked for), and becomes the
/// exit status.
func reporting(json: Bool, _ work: () throws -> Void) throws {
    do {
        try work()
    } catch let error as DMABufError {
        explain(error, json: json)
        throw ExitCode(error.status)
    } catch let error as any ToldError {
        explain(error.explained, json: json)
        throw ExitCode(error.status)
    } catch is ReaderGone {}
}

/// The error as people and programs read it.
func explain(_ error: DMABufError, json: Bool) {
    let text: String
    if json, let encoded = try? encode(ErrorReport(error: .init(error))) {
        text = encoded + "\n"
    } else {
        var lines = ["dmabuf-share: \(error.message.escapedForDisplay)"]
        lines += error.tried.map { "  tried \($0.escapedForDisplay)" }
        if let remedy = error.remedy { lines.append("  try this: \(remedy)") }
        text = lines.joined(separator: "\n") + "\n"
    }
    try? StandardStream.error.write(text)
}

private struct ErrorReport: Encodable {
    let error: Body

    struct Body: Encodable {
        let code: String
        let message: String
        let tried: [String]
        let remedy: String?

        enum CodingKeys: CodingKey { case code, message, tried, remedy }

        init(_ error: DMABufError) {
            code = error.code.name
            message = error.message
            tried = error.tried
            remedy = error.remedy
        }

        /// Every key is always there: a remedy that is not known is null.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(code, forKey: .code)
            try container.encode(message, forKey: .message)
            try container.encode(tried, forKey: .tried)
            try container.encode(remedy, forKey: .remedy)
        }
    }
}

/// A line for the person watching, on standard error.
func note(_ text: String) {
    try? StandardStream.error.write("dmabuf-share: \(text)\n")
}
