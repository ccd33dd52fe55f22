// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import FoundationEssentials
import SystemPackage
import TestSupport
import Testing

/// `Tests/Clients/registry.py` in a process of its own, told what to do a line at a time.
final class PythonClient {
    private var process: Running?
    private var socket: UnixSocket?
    private var incoming = [UInt8](repeating: 0, count: 1 << 16)
    private var rest: [UInt8] = []
    private var answers: [Said] = []
    private var notices: [Said] = []
    private let limit = Deadline.after(.seconds(60))
    let processID: Int32
    /// Whether it has neither left nor been cut off.
    var isThere: Bool { socket != nil }

    /// Starts it. `uid` is whom it becomes first, which needs root.
    init(at path: String, uid: UInt32? = nil, hasPages: Bool = false) throws {
        let pair = try UnixSocket.pair()
        var descriptors = DescriptorList()
        try descriptors.appendDuplicate(of: pair.second.descriptor)
        // Its input and output are messages of one line, or of a part of a long one.
        let process = try Running(
            ["sh", "-c", "exec \"$@\" <&3 >&3 3>&-", "sh", "python3", "-B", "-S", "-E"]
                + ["\(Package.root)/Tests/Clients/registry.py", "--socket", path]
                + (uid.map { ["--uid", "\($0)"] } ?? []) + (hasPages ? ["--pages"] : []) + ["-"],
            descriptors: descriptors)
        processID = process.processID
        self.process = consume process
        let own = pair.first
        socket = consume own
    }

    deinit { kill() }

    /// Says `command` and waits for its answer.
    @discardableResult
    func ask(_ command: String) throws -> Said {
        try tell(command)
        return try answer(to: command)
    }

    /// Says `command`, which has no answer or ends in `&`.
    func tell(_ command: String) throws {
        let deadline = limit
        try socket?.send(Array("\(command)\n".utf8), with: DescriptorList(), until: deadline)
    }

    /// The answer to a command that was said before.
    func answer(to command: String) throws -> Said {
        let name = String(command.prefix { $0 != " " })
        while true {
            if let index = answers.firstIndex(where: { $0["to"] == .text(name) || $0.name == name }) {
                return answers.remove(at: index)
            }
            try read()
        }
    }

    /// The next notice, which must be this: so one that is told twice, or in another's place, is seen.
    @discardableResult
    func hear(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Said {
        while notices.isEmpty { try read() }
        let first = notices.removeFirst()
        #expect(first.name == name, "\(first)", sourceLocation: sourceLocation)
        return first
    }

    /// Everything that the registry has told it up to now was heard, and everything asked was answered.
    func expectNothingMore(sourceLocation: SourceLocation = #_sourceLocation) throws {
        guard socket != nil else { return }
        try ask("list")
        #expect(notices.isEmpty && answers.allSatisfy { $0.name == "joined" }, sourceLocation: sourceLocation)
    }

    /// Waits for its end, which must be the registry's doing, and gives its last words.
    func parting() throws -> String {
        while socket != nil { try? read() }
        return try process.take()?.finish().errors ?? ""
    }

    /// Ends it in good order.
    func leave() throws {
        try tell("quit")
        while socket != nil { try? read() }
        guard let run = try process.take()?.finish() else { return }
        #expect([0, 4].contains(run.status), "\(run.errors)")
    }

    func send(_ signal: SignalNumber) throws { try process?.send(signal) }

    /// Kills it, as a client may be killed.
    func kill() {
        socket = nil
        guard let process = process.take() else { return }
        try? process.send(.kill)
        _ = try? process.finish()
    }

    private func read() throws {
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
            let deadline = limit
            do {
                guard let count = try socket?.receive(into: &incoming, until: deadline).byteCount else {
                    throw Errno.brokenPipe
                }
                rest += incoming[..<count]
            } catch {
                socket = nil
                throw error
            }
            return
        }
        let said = try JSONDecoder().decode(Said.self, from: Data(rest[..<end]))
        rest.removeSubrange(...end)
        if said.isNotice { notices.append(said) } else { answers.append(said) }
    }
}
