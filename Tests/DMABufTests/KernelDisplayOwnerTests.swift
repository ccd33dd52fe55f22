// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// Whose screen it is, and what becomes of it when somebody or something goes away.
@Suite("Who may use a screen", .leavesNoDescriptor, .requires("kms:card0", "vgem", "screenshot", "root"))
struct KernelDisplayOwnerTests {
    private let limit = Deadline.after(.seconds(120))

    @Test("one at a time; the other is told who has it")
    func oneAtATime() throws {
        let importer = try KMSImporter(node: "card0")
        do {
            let screen = try Screen(on: importer)
            do throws(DMABufError) {
                _ = try Screen(on: KMSImporter(node: "card0"))
                Issue.record("two have one screen")
            } catch {
                #expect(error.code == .unavailable && error.cause == .resourceBusy, "\(error)")
                #expect(error.message.hasPrefix("kms:card0: its outputs belong to "))
            }
            try screen.restore()
        }
        try Screen(on: KMSImporter(node: "card0")).restore()
    }

    @Test("who never was the master and is not root is told who may be")
    func notRoot() throws {
        let other = try DRMNode("card0")
        let importer: KMSImporter
        do {
            // While there is one, whoever opens the card does not become it.
            let master = try DRMMaster(of: other)
            importer = try KMSImporter(node: "card0")
            _ = consume master
        }
        try OwnUser.with(65534) {
            do throws(DMABufError) {
                _ = try Screen(on: importer)
                Issue.record("it became the master")
            } catch { #expect(error.code == .unavailable && error.cause == .permissionDenied, "\(error)") }
        }
        try Screen(on: importer).restore()
    }

    @Test("a file is the master until the last who needs that has ended")
    func twice() throws {
        let node = try DRMNode("card0")
        let first = try DRMMaster(of: node)
        do {
            let second = try DRMMaster(of: node)
            _ = consume second
        }
        #expect(node.isMaster)
        _ = consume first
        #expect(!node.isMaster)
    }

    @Test("a lease is as good as the card, until it is taken back")
    func lease() throws {
        let before = try ScreenPicture.take()
        let (first, second) = (TestImage(31), TestImage(32))
        let compositor = try DRMNode("card0")
        let master = try DRMMaster(of: compositor)
        try compositor.setClientCapability(.universalPlanes)
        let resources = try compositor.modeResources()
        let planes = try compositor.scanoutPlanes().map(\.number)
        let made = try DRMLease(
            of: [resources.connectors[0], resources.crtcs[0], planes[0]], from: compositor)
        let file = try made.descriptor.duplicate()
        var lease: DRMLease? = made
        do {
            let importer = try KMSImporter(lease: file)
            var screen = try Screen(on: importer)
            try screen.show(Picture(of: first.buffer(from: "vgem"), on: importer), until: limit)
            #expect(try ScreenPicture.take() == first.picture)
            let next = try Picture(of: second.buffer(from: "vgem"), on: importer)
            _ = try screen.flip(to: next)
            try screen.waitForFlip(until: limit)
            #expect(try ScreenPicture.take() == second.picture)
            // Its end.
            _ = lease.take()
            do throws(DMABufError) {
                _ = try screen.flip(to: next)
                Issue.record("the lease was taken back")
            } catch { #expect(error.code == .gone, "\(error)") }
        }
        #expect(try ScreenPicture.take() != before)
        _ = consume master
    }

    @Test("the device goes away: that is said, and to end later is safe")
    func gone() throws {
        let device = try BoundDevice(of: "card0")
        do {
            let importer = try KMSImporter(node: "card0")
            var screen = try Screen(on: importer)
            let buffer = try TestImage(33).buffer(from: "vgem")
            let picture = try Picture(of: buffer, on: importer)
            try screen.show(picture, until: limit)
            try device.unbind()
            expectGone { () throws(DMABufError) in _ = try screen.flip(to: picture) }
            expectGone { () throws(DMABufError) in try screen.markDirty(until: limit) }
            expectGone { () throws(DMABufError) in try screen.show(picture, until: limit) }
            expectGone { () throws(DMABufError) in _ = try Picture(of: buffer, on: importer) }
            expectGone { () throws(DMABufError) in try importer.attach(buffer.memory[0], for: .read).detach() }
            // The buffer lives on.
            #expect(try CPUImporter().attach(buffer.memory[0], for: .read).map().withReadAccess { $0.byteCount } > 0)
            do throws(DMABufError) {
                try screen.restore()
                Issue.record("it is still there")
            } catch { #expect(error.code == .gone, "\(error)") }
        }
        try device.bind()
        let importer = try KMSImporter(node: "card0")
        var screen = try Screen(on: importer)
        let image = TestImage(34)
        try screen.show(Picture(of: image.buffer(from: "vgem"), on: importer), until: limit)
        #expect(try ScreenPicture.take() == image.picture)
    }

    @Test("a flip that is pending when the device goes away ends")
    func goneMeanwhile() throws {
        let device = try BoundDevice(of: "card0")
        do {
            let importer = try KMSImporter(node: "card0")
            var screen = try Screen(on: importer)
            let buffer = try TestImage(35).buffer(from: "vgem")
            let picture = try Picture(of: buffer, on: importer)
            try screen.show(picture, until: limit)
            let work = try ScratchFence()
            let end = try screen.flip(to: picture, waitingFor: work.fence)
            let unbinding = try Running(device.unbinding)
            // Either it is heard to be gone, or the flip ends first: the kernel waits for it to end before it lets go.
            do throws(DMABufError) { try screen.waitForFlip(until: .after(.seconds(1))) } catch {
                #expect(error.code == .gone || error.code == .deadline, "\(error)")
            }
            try work.signal()
            #expect(try end.wait(until: limit) != .pending)
            #expect(try unbinding.finish().status == 0)
            expectGone { () throws(DMABufError) in
                try screen.waitForFlip(until: limit)
                _ = try screen.flip(to: picture)
            }
        }
        try device.bind()
    }

    private func expectGone(_ work: () throws(DMABufError) -> Void) {
        do throws(DMABufError) {
            try work()
            Issue.record("it is still there")
        } catch { #expect(error.code == .gone, "\(error)") }
    }
}
