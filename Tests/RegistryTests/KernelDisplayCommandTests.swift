// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A registered image on a real driver's screen, which is looked at from outside.
@Suite("display", .leavesNoDescriptor, .requires("kms:card0", "vgem", "screenshot"))
struct KernelDisplayCommandTests {
    private let limit = Deadline.after(.seconds(240))

    @Test(
        "shows an image of every exporter, follows its writer, and gives the screen back",
        arguments: Backends.realExporters)
    func follows(exporter: String) throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try writer.allocate(TestImage.request, from: exporter, name: "frame", until: limit)
        let attached = try writer.attach(id, AttachTerms(.readWrite), until: limit)
        let (first, second) = (TestImage(21), TestImage(22))
        try writer.paint(first, attached)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        #expect(try ScreenPicture.take() == first.picture)
        try writer.paint(second, attached)
        try waitForScreen(second.picture)
        try display.send(.terminate)
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        #expect(run.output.hasPrefix("frame: 640x480 XR24 on "), "\(run)")
        #expect(try ScreenPicture.take() == before)
        _ = try registry.stop()
    }

    @Test("so many frames and no more; JSON is a line each")
    func frames() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let run = try registry.run("display", "frame", "--on", "kms:card0", "--frames", "5", "--json")
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        let lines = run.output.split(separator: "\n")
        #expect(
            lines.count == 2
                && lines.allSatisfy { $0.hasSuffix(#""schema":1,"width":640}"#) || $0.contains(#""schema":1"#) })
        #expect(lines.first?.contains(#""event":"shown""#) == true && lines.last?.contains(#""frames":5"#) == true)
        _ = try registry.stop()
    }

    @Test("follows every move, and the old memory is free")
    func moves() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let exporters = ["vgem", "udmabuf", "heap:system"].filter(Backends.realExporters.contains)
        let (id, _) = try owner.allocate(TestImage.request, from: exporters[0], name: "frame", until: limit)
        var attached = try owner.attach(id, AttachTerms(.readWrite), until: limit)
        let image = TestImage(23)
        try owner.paint(image, attached)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        for (index, exporter) in (exporters.dropFirst() + [exporters[0]]).enumerated() {
            try owner.move(id, from: attached.generation, to: exporter, until: limit)
            attached = try owner.map(attached.attachment, until: limit)
            // The screen has let go of the old memory, which it would not show any more.
            let released = try owner.next(until: limit) { if case .released = $0 { true } else { false } }
            #expect(released != nil, "\(exporter)")
            #expect(try ScreenPicture.take() == image.picture)
            let next = TestImage(24 + index)
            try owner.paint(next, attached)
            try waitForScreen(next.picture)
            try owner.paint(image, attached)
            try waitForScreen(image.picture)
        }
        try display.send(.terminate)
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        #expect(run.output.contains("has moved: generation \(exporters.count + 1) "), "\(run)")
        _ = try registry.stop()
    }
}

extension RegistryConnection {
    /// As somebody who comes for that alone.
    consuming func paint(_ image: TestImage, _ name: String) throws {
        try paint(image, attach(name, AttachTerms(.readWrite), until: .after(.seconds(20))))
    }

    /// As a good writer does it: first a fence says that it writes, and then it waits for who reads. Whoever reads after that
    /// reads all of it.
    mutating func paint(_ image: TestImage, _ attached: AttachedBuffer) throws {
        let end = Deadline.after(.seconds(20))
        let written = try EventFD()
        try promise(try Fence(adopting: written.descriptor.duplicate()), .eventFD, attached)
        defer { try? written.signal() }
        // Its own fence is a writer's: of the others only the readers are left.
        while case .snapshot(_, let all) = try ask(.snapshot(attached.attachment, .read), until: end),
            case .snapshot(_, let writers) = try ask(.snapshot(attached.attachment, .write), until: end),
            all.count > writers.count, !end.hasPassed
        {}
        try image.paint(attached.buffer)
    }

    /// A writer's fence.
    mutating func promise(_ fence: Fence, _ kind: FenceTerms.Kind, _ attached: AttachedBuffer) throws {
        let end = Deadline.after(.seconds(20))
        // Each is later than the one before.
        let terms = FenceTerms(
            timeline: 9, point: Deadline.now().nanoseconds, usage: .write, kind: kind, within: .seconds(10))
        try ask(.reserve(attached.attachment, slots: 1), until: end)
        _ = try add(fence, to: attached.attachment, terms, until: end)
    }
}
