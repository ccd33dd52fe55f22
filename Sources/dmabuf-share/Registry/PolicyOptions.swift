// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufPolicy
import DMABufServer
import DMABufSystem

/// What `serve` is told of the policy.
struct PolicyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Who may do what, as dmabuf-share.policy(5) has it. SIGHUP reads it again.", valueName: "file"))
    var policy: String?

    @Option(help: ArgumentHelp("Say what is wrong with a policy, and serve nothing.", valueName: "file"))
    var check: String?

    @Flag(help: "With --check: print the result as JSON.")
    var json = false

    func validate() throws {
        if check != nil, policy != nil { throw ValidationError("--check and --policy: one of them.") }
        if json, check == nil { throw ValidationError("--json goes with --check.") }
    }

    var file: PolicyFile? { policy.map { PolicyFile($0) } }

    /// The policy to begin with. One that is wrong is not served with: nobody would know what holds.
    func read() throws -> Policy {
        guard let file else { return Policy() }
        do throws(PolicyFile.Problem) { return try file.read() } catch {
            for line in file.lines(error) { note(line) }
            throw ExitCode(Status.failed)
        }
    }

    func check(_ path: String) throws {
        let file = PolicyFile(path)
        let report: PolicyReport
        do throws(PolicyFile.Problem) { report = PolicyReport(file, try file.read()) } catch {
            report = PolicyReport(file, error)
        }
        try reporting(json: json) { try emit(report, json: json) }
        if !report.ok { throw ExitCode(Status.failed) }
    }
}

struct PolicyReport: Report {
    let file: String
    let ok: Bool
    /// How many lines say something; nil if the file is wrong.
    let lines: Int?
    let errors: [Mistake]
    private let words: [String]

    struct Mistake: Encodable {
        /// nil if the file cannot be read.
        let line: Int?
        let column: Int?
        let message: String
    }

    enum CodingKeys: CodingKey { case file, ok, lines, errors }

    init(_ file: PolicyFile, _ policy: Policy) {
        self.file = file.path
        (ok, lines, errors) = (true, policy.lineCount, [])
        let count = policy.lineCount
        words = ["\(file.path.escapedForDisplay): \(count) \(count == 1 ? "line" : "lines"), nothing wrong"]
    }

    init(_ file: PolicyFile, _ problem: PolicyFile.Problem) {
        self.file = file.path
        (ok, lines) = (false, nil)
        words = file.lines(problem)
        errors =
            switch problem {
            case .unreadable(let error): [Mistake(line: nil, column: nil, message: "\(error)")]
            case .wrong(let all): all.map { Mistake(line: $0.line, column: $0.column, message: $0.sentence) }
            }
    }

    var text: String { words.map { $0 + "\n" }.joined() }
}
