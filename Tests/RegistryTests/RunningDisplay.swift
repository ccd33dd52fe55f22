// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// The command `display` under test, from its first frame on.
struct RunningDisplay: ~Copyable {
    private let process: Running
    private let folder: String

    /// With `holding`, the first frame stays on the screen until ``goOn()``.
    init(
        _ registry: borrowing RunningRegistry, _ arguments: String..., waiting: Bool = true, holding: Bool = false
    ) throws {
        let folder = try TemporaryFolder.make()
        var shown = "echo >\(folder)/shown"
        if holding { shown += "; while [ ! -e \(folder)/go ]; do sleep 0.05; done" }
        // The machine may stand still for a while, which is not what is tested.
        let patience = arguments.contains("--within") ? [] : ["--within", "10"]
        let process = try Running(
            [Tool.path, "display"] + arguments + patience,
            environment: ["DMABUF_SHARE_SOCKET": registry.socket, "DMABUF_SHARE_SHOWN": shown])
        if waiting { try wait(within: .seconds(60)) { Self.isShowing(folder) } }
        self.process = process
        self.folder = folder
    }

    /// It runs what the environment says when the first frame is on the screen.
    var isShowing: Bool { Self.isShowing(folder) }

    private static func isShowing(_ folder: String) -> Bool { Folder.names(folder).contains("shown") }

    var processID: Int32 { process.processID }
    var isThere: Bool { process.isThere }

    func goOn() throws { #expect(try Running(["touch", "\(folder)/go"]).finish().status == 0) }

    func send(_ signal: SignalNumber) throws { try process.send(signal) }

    consuming func finish() throws -> Run {
        let run = try process.finish()
        TemporaryFolder.remove(folder)
        return run
    }
}

/// Waits until the screen shows exactly that.
func waitForScreen(_ picture: ScreenPicture, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try wait({ try ScreenPicture.take() == picture }, sourceLocation: sourceLocation)
}
