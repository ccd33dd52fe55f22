// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// The registry's clients and a program that has only the kernel's ioctls, at the same dma-buf: each sees the other's work.
@Suite("Fences of those who know of no registry", .leavesNoDescriptor, .requires("vgem"))
struct KernelForeignFenceTests {
    private let limit = Deadline.after(.seconds(120))

    /// Compiled once, beside the tool.
    private static let program = Result { try compile("foreign") }
    private static let screenProgram = Result { try compile("flip") }

    private static func compile(_ name: String) throws -> String {
        let folder = Tool.path + "-clients"
        try? Folder.create(folder)
        let compile = try Running([
            "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", "\(folder)/\(name)",
            "\(Package.root)/Tests/Clients/\(name).c",
        ]).finish()
        guard compile.status == 0 else { throw CompileError(text: compile.errors) }
        return "\(folder)/\(name)"
    }

    struct CompileError: Error { let text: String }

    @Test("a program waits for the registry's fence, and for nothing where there is none", arguments: ["poll", "sync"])
    func obeyed(how: String) throws {
        let registry = try RunningRegistry()
        let program = try Self.program.get()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try client.allocate(.bytes(4096), from: "vgem", name: "frame", until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try client.ask(.reserve(attached.attachment, slots: 1), until: limit)
        let control = try registry.run("attach", "frame", "--", program, "wait", how, "300")
        #expect(control.status == 0, "\(control)")

        let other = try OtherBuffer()
        let fence = try client.addWriter(of: other, to: attached, until: limit)
        let held = try registry.run("attach", "frame", "--", program, "wait", how, "300")
        #expect(held.status == 124, "\(held)")
        let waiting = try registry.start("attach", "frame", "--", program, "wait", how, "9000")
        try fence.signal()
        let run = try waiting.finish()
        #expect(run.status == 0, "\(run)")
        _ = try registry.stop()
    }

    @Test("a screen turns to the image when the registry's writer has ended, and not before", .requires("kms:card0"))
    func flip() throws {
        let registry = try RunningRegistry()
        let program = try Self.screenProgram.get()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let format = try #require(PixelFormat("XR24"))
        let image = BufferRequest.image(width: 640, height: 480, format: format)
        let (id, _) = try client.allocate(image, from: "vgem", name: "frame", until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try client.ask(.reserve(attached.attachment, slots: 1), until: limit)
        let show = "exec \(program) /dev/dri/card0 >\(folder)/said"
        func said() -> String { String(decoding: (try? Sysfs.bytes("\(folder)/said")) ?? [], as: UTF8.self) }
        // The control: nobody is writing.
        let control = try registry.run("attach", "frame", "--", "sh", "-c", show)
        #expect(control.status == 0 && said() == "shown\n", "\(control) \(said())")

        let other = try OtherBuffer()
        let fence = try client.addWriter(of: other, to: attached, until: limit)
        let showing = try registry.start("attach", "frame", "--", "sh", "-c", show)
        try wait { said() == "pending\n" }
        try fence.signal()
        let run = try showing.finish()
        #expect(run.status == 0 && said() == "pending\nshown\n", "\(run) \(said())")
        _ = try registry.stop()
    }

    @Test("a program's own fence is listed, waited for and named", arguments: [Usage.write, .read])
    func seen(usage: Usage) throws {
        let registry = try RunningRegistry()
        let program = try Self.program.get()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try client.allocate(.bytes(4096), from: "vgem", name: "frame", until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        #expect(try attached.pendingKernelFences().isEmpty)
        #expect(try client.waitForFences(of: attached, .read, until: .now()) == .ok)

        let work = try registry.start("attach", "frame", "--", program, "add", "\(usage)", "\(folder)/go")
        try wait { try !attached.pendingKernelFences().isEmpty }
        let found = try attached.pendingKernelFences()
        #expect(found.map(\.usage) == [usage] && found.map(\.driver) == ["vgem"], "\(found)")
        // Readers wait for writers alone, writers for all.
        let mayRead = usage == .read
        let reading = Result { try client.waitForFences(of: attached, .write, until: .after(.milliseconds(50))) }
        #expect(((try? reading.get()) == .ok) == mayRead)
        do throws(RegistryError) {
            _ = try client.waitForFences(of: attached, .read, until: .after(.milliseconds(50)))
            Issue.record("a foreign fence was not waited for")
        } catch {
            #expect(error.asError.code == .deadline && error.asError.message.contains("vgem"), "\(error)")
        }
        do throws(RegistryError) {
            try client.withAccess(.write, to: &attached, within: .milliseconds(50)) { _ in
                _ = Issue.record("it ran")
            }
        } catch {
            #expect(error.asError.code == .deadline, "\(error)")
        }
        let list = try registry.run("fence", "list", "frame")
        #expect(list.output.contains("-      \(usage)") && list.output.contains("vgem ("), "\(list)")
        let late = try registry.run("fence", "wait", "frame", "--read", "--timeout", "1")
        #expect(late.status == 124 && late.errors.contains("vgem"), "\(late)")
        try Descriptor.open("\(folder)/go", .create).write("")
        let waited = try registry.run("fence", "wait", "frame", "--read")
        #expect(waited.status == 0, "\(waited)")
        let end = try work.finish()
        #expect(end.status == 0, "\(end)")
        #expect(try attached.pendingKernelFences().isEmpty)
        _ = try registry.stop()
    }
}

extension RegistryConnection {
    /// A fence of the other buffer, added to this one as a writer's: pending until it is signalled.
    fileprivate mutating func addWriter(
        of other: borrowing OtherBuffer, to attached: AttachedBuffer, until deadline: Deadline
    ) throws -> VGEMFence {
        let fence = try VGEM.attachFence(to: other.gem, write: true)
        let file = try #require(try other.memory.fence(waitingBefore: .write))
        let terms = FenceTerms(timeline: 1, point: 1, usage: .write, within: .seconds(10))
        _ = try add(file, to: attached.attachment, terms, until: deadline)
        return fence
    }
}
