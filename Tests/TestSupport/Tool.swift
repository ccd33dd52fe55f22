// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
import SystemPackage

/// A program run to its end, with what it printed. It has two minutes.
public struct Run: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String
}

/// A program under test, started and awaited separately, so that two can talk to each other.
public struct Running: ~Copyable {
    private let child: ChildProcess
    private let folder: String

    /// Runs `arguments[0]` with its output in files of its own.
    public init(
        _ arguments: [String], environment: [String: String] = [:],
        descriptors: borrowing DescriptorList = DescriptorList()
    ) throws {
        let folder = try TemporaryFolder.make()
        let entries = OwnProcess.environment + environment.map { CommandWord("\($0.key)=\($0.value)") }
        let child = try ChildProcess(
            CommandWord.words(["sh", "-c", "exec \"$@\" >\(folder)/out 2>\(folder)/err", "sh"] + arguments),
            environment: entries,
            descriptors: descriptors)
        self.folder = folder
        self.child = child
    }

    /// Whoever loses sight of it leaves nothing: not the process, and no zombie, which would keep others from being found.
    deinit {
        try? child.send(.kill)
        _ = try? child.wait(until: .after(.seconds(5)))
        TemporaryFolder.remove(folder)
    }

    public var processID: Int32 { child.processID }

    public func send(_ signal: SignalNumber) throws { try child.send(signal) }

    public consuming func finish() throws -> Run {
        guard let ending = try child.wait(until: .after(.seconds(120))) else {
            try child.send(.kill)
            _ = try child.wait(until: .after(.seconds(5)))
            throw Errno.timedOut
        }
        return Run(status: ending.status, output: contents("out"), errors: contents("err"))
    }

    private borrowing func contents(_ name: String) -> String {
        String(decoding: (try? Sysfs.bytes("\(folder)/\(name)", limit: 16 << 20)) ?? [], as: UTF8.self)
    }
}

/// The tool under test: the binary beside the test bundle.
public enum Tool {
    public static let path: String = {
        let own = OwnProcess.executablePath
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)]) + "/dmabuf-share"
    }()

    public static func run(_ arguments: String..., environment: [String: String] = [:]) throws -> Run {
        try Running([path] + arguments, environment: environment).finish()
    }

    public static func start(_ arguments: String...) throws -> Running {
        try Running([path] + arguments)
    }
}

/// A folder that is gone with its value.
struct OwnFolder: ~Copyable {
    let path: String

    init(mode: UInt32) throws { path = try TemporaryFolder.make(mode: mode) }

    deinit { TemporaryFolder.remove(path) }
}

/// A folder that is gone at the end of the test.
public enum TemporaryFolder {
    public static func make(mode: UInt32 = 0o700) throws -> String {
        let path = "/tmp/dmabuf-share-test.\(OwnProcess.processID).\(Deadline.now().nanoseconds)"
        try Folder.create(path, mode: mode)
        return path
    }

    public static func remove(_ path: String) {
        guard path.hasPrefix("/tmp/dmabuf-share-test.") else { return }
        _ = try? ChildProcess(
            ["rm", "-rf", CommandWord(path)], environment: OwnProcess.environment, descriptors: DescriptorList()
        )
        .wait(until: .after(.seconds(10)))
    }
}
