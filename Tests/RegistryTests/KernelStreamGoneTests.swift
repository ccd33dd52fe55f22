// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A stream loses the device of its producer, or of one of its readers.
@Suite(
    "A stream whose device goes away", .serialized, .leavesNoDescriptor,
    .requires("guest", "root", "v4l2:video0", "v4l2:video1", "kms:card0"))
struct KernelStreamGoneTests {
    private var soon: Deadline { .after(.seconds(60)) }

    @Test(
        "the camera goes: capture says so, readers are told, and keep the frame that they have",
        arguments: [Backends.realExporters[0], "v4l2:video0"])
    func camera(exporter: String) throws {
        let device = try BoundDevice(of: "video0")
        // What was let go of before this test goes a moment later.
        try wait(within: .seconds(60)) { Machine.dmaBufCount == 0 }
        let registry = try RunningRegistry()
        let capture = try registry.capture("--buffers", "6", "--exporter", exporter)
        do {
            let display = try RunningDisplay(registry, "cam0", "--on", "kms:card0", "--within", "60")
            var client = try RegistryConnection(at: registry.socket, until: soon)
            client.answersWithin = .seconds(60)
            var reader = try PoolReader("cam0", pins: false, in: &client, until: soon)
            let frame = try #require(try reader.take(&client, until: soon))
            let mapping = try CPUImporter().attach(frame.buffer.memory[0], for: .read).map()
            let content = try mapping.withReadAccess { Checksum(of: $0) }
            #expect(Machine.dmaBufCount == 6)
            try device.unbind()
            let run = try capture.finish()
            #expect(run.status == 1 && run.errors.contains(#""code":"gone""#), "\(run)")
            #expect(run.errors.contains("the device /dev/video0 is gone"), "\(run)")
            let shown = try display.finish()
            #expect(shown.status == 1 && shown.errors.contains("has died"), "\(shown)")
            #expect(try mapping.withReadAccess { Checksum(of: $0) } == content)
            while reader.end == nil, !soon.hasPassed {
                _ = try reader.take(&client, until: .after(.seconds(1)))
            }
            #expect(reader.end == .died)
            #expect(try mapping.withReadAccess { Checksum(of: $0) } == content)
            try reader.detach(&client, until: soon)
        }
        // Nothing is left, but for the registry itself.
        try wait { Machine.dmaBufCount == 0 }
        #expect(try registry.run("list").output == "no buffers\n")
        try device.bind()
        let again = try registry.run("capture", "--from", "v4l2:video0", "--share", "cam0", "--frames", "3")
        #expect(again.status == 0, "\(again)")
        _ = try registry.stop()
    }

    @Test("a camera whose buffers are all with readers says it, too")
    func keptCamera() throws {
        let device = try BoundDevice(of: "video0")
        let registry = try RunningRegistry()
        let capture = try registry.capture("--buffers", "3")
        var client = try RegistryConnection(at: registry.socket, until: soon)
        client.answersWithin = .seconds(60)
        var reader = try PoolReader("cam0", pins: false, in: &client, until: soon)
        // The last frame is not told of until a reader lets one go.
        var taken = 0
        while try reader.take(&client, until: .after(.seconds(3))) != nil { taken += 1 }
        #expect(taken == 2)
        try device.unbind()
        let end = soon
        while capture.isThere, !end.hasPassed {
            try reader.renew(&client, until: soon)
            Clock.sleep(.milliseconds(50))
        }
        #expect(!end.hasPassed, "it does not notice")
        let run = try capture.finish()
        #expect(run.status == 1 && run.errors.contains(#""code":"gone""#), "\(run)")
        try device.bind()
        _ = try registry.stop()
    }

    @Test("an output goes: play says so, and the producer goes on", arguments: [true, false])
    func output(hasPlayed: Bool) throws {
        let device = try BoundDevice(of: "video1")
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: soon)
        var pool = try producer(&client)
        let play = try registry.start("play", "cam0", "--into", "v4l2:video1", "--timeout", "100", "--json")
        try wait { try registry.run("show", "cam0.0", "--json").output.contains(#""attachments":2"#) }
        if hasPlayed {
            let watched = try client.attach("cam0.3", AttachTerms(.read), until: soon)
            let end = soon
            while try !client.isRead(watched), !end.hasPassed { try pool.step(&client) }
            #expect(!end.hasPassed, "nothing is played")
            try client.ask(.detach(watched.attachment), until: soon)
        }
        try device.unbind()
        let begun = Deadline.now()
        let run = try play.finish()
        #expect(run.status == 1 && run.errors.contains(#""code":"gone""#), "\(run)")
        #expect(run.errors.contains("the device /dev/video1 is gone"), "\(run)")
        #expect(Deadline.now().nanoseconds - begun.nanoseconds < 60_000_000_000, "it does not notice")
        // The producer has all its buffers.
        let announced = pool.announced
        for _ in 0..<12 { try pool.step(&client) }
        #expect(pool.announced >= announced + 12)
        try device.bind()
        try pool.end(&client, until: soon)
        _ = try registry.stop()
    }

    @Test("a screen goes while no frame comes: display says so")
    func screen() throws {
        let device = try BoundDevice(of: "card0")
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: soon)
        var pool = try producer(&client)
        let display = try RunningDisplay(
            registry, "cam0", "--on", "kms:card0", "--within", "100", "--json", waiting: false)
        // One frame and no other.
        try pool.step(&client)
        #expect(pool.announced == 1)
        try wait(within: .seconds(60)) {
            try pool.renew(&client, until: soon)
            return display.isShowing
        }
        try device.unbind()
        let end = soon
        while display.isThere, !end.hasPassed {
            try pool.renew(&client, until: soon)
            Clock.sleep(.milliseconds(50))
        }
        #expect(!end.hasPassed, "it does not notice")
        let run = try display.finish()
        #expect(run.status == 1 && run.errors.contains(#""code":"gone""#), "\(run)")
        #expect(run.errors.contains("the device /dev/dri/card0 is gone"), "\(run)")
        try device.bind()
        try pool.end(&client, until: soon)
        _ = try registry.stop()
    }

    /// A stream without a camera.
    private func producer(_ client: inout RegistryConnection) throws -> PoolWriter {
        let exporter = try ExporterBackend.open(Backends.realExporters[0])
        let memory = try (0..<4).map { _ in try exporter.export(TestImage.request) }
        var pool = try PoolWriter(memory, named: "cam0", fixed: false, in: &client, until: soon)
        try pool.fill(&client)
        try pool.publish(&client, until: soon)
        return pool
    }
}

extension RunningRegistry {
    /// Shares vivid's frames as "cam0", and waits until they can be found.
    fileprivate borrowing func capture(_ options: String...) throws -> Running {
        let command = [
            Tool.path, "capture", "--from", "v4l2:video0", "--share", "cam0", "--image", "640x480:XR24", "--timeout",
            "60", "--json",
        ]
        let capture = try Running(command + options, environment: ["DMABUF_SHARE_SOCKET": socket])
        try waitForStream()
        return capture
    }
}

extension Running {
    /// Whether it has not ended yet.
    var isThere: Bool { !Folder.names("/proc/\(processID)/fd").isEmpty }
}

extension PoolWriter {
    /// Takes what there is.
    fileprivate mutating func fill(_ registry: inout RegistryConnection) throws {
        while try take(&registry, until: .after(.seconds(20))) != nil {}
    }

    /// A frame is whole.
    fileprivate mutating func step(_ registry: inout RegistryConnection) throws {
        if isUnderWay { finish() }
        try announce(&registry, until: .after(.seconds(20)))
        try fill(&registry)
        Clock.sleep(.milliseconds(30))
    }
}

extension RegistryConnection {
    /// Whether somebody has a read fence on it.
    fileprivate mutating func isRead(_ attached: AttachedBuffer) throws -> Bool {
        guard
            case .snapshot(_, let all) = try ask(.snapshot(attached.attachment, .read), until: .after(.seconds(20))),
            case .snapshot(_, let writers) = try ask(
                .snapshot(attached.attachment, .write), until: .after(.seconds(20)))
        else { return false }
        return all.count > writers.count
    }
}

extension Checksum {
    init(of bytes: RawSpan) {
        self.init()
        add(bytes)
    }
}
