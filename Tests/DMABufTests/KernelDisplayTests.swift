// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// Pictures of every exporter's on a real driver's screen, which is looked at from outside.
@Suite("A screen", .leavesNoDescriptor, .requires("kms:card0", "screenshot"))
struct KernelDisplayTests {
    private let limit = Deadline.after(.seconds(120))

    @Test("shows what was written, pixel by pixel, and shows it anew when told to", arguments: Backends.realExporters)
    func shows(exporter: String) throws {
        let importer = try KMSImporter(node: "card0")
        let before = try ScreenPicture.take()
        let (first, second) = (TestImage(1), TestImage(2))
        let buffer = try first.buffer(from: exporter)
        let other = try second.buffer(from: exporter)
        do {
            var screen = try Screen(on: importer)
            let picture = try Picture(of: buffer, on: importer)
            try screen.show(picture, until: limit)
            #expect(try ScreenPicture.take() == first.picture)
            try second.paint(buffer)
            // cirrus shows a copy.
            #expect(try ScreenPicture.take() == first.picture)
            try screen.markDirty(until: limit)
            #expect(try ScreenPicture.take() == second.picture)

            try first.paint(buffer)
            try second.paint(other)
            let next = try Picture(of: other, on: importer)
            for (picture, image) in [(picture, first), (next, second), (picture, first)] {
                let end = try screen.flip(to: picture)
                #expect(try screen.waitForFlip(until: limit) != nil)
                #expect(try end.wait(until: limit) == .signalled)
                #expect(try ScreenPicture.take() == image.picture)
                let now = screen.picture
                #expect(now === picture)
            }
        }
        #expect(try ScreenPicture.take() == before, "the screen was not restored")
        #expect(try buffer.memory[0].referenceCount() == 1)
    }

    @Test("a driver that sets one thing after the other shows the same")
    func plainly() throws {
        let importer = try KMSImporter(node: "card0")
        let before = try ScreenPicture.take()
        let (first, second) = (TestImage(3), TestImage(4))
        var screen = try Screen(on: importer, isAtomic: false)
        let isAtomic = screen.isAtomic
        #expect(!isAtomic)
        try screen.show(Picture(of: first.buffer(from: "vgem"), on: importer), until: limit)
        #expect(try ScreenPicture.take() == first.picture)
        let end = try screen.flip(to: Picture(of: second.buffer(from: "vgem"), on: importer))
        // It ends when it is heard to have ended.
        #expect(end.kind == .eventfd)
        #expect(try end.status() == .pending)
        try screen.waitForFlip(until: limit)
        #expect(try end.status() == .signalled)
        #expect(try ScreenPicture.take() == second.picture)
        try screen.restore()
        #expect(try ScreenPicture.take() == before)
    }

    @Test("damage is what is shown anew", arguments: [true, false])
    func damage(isFlipped: Bool) throws {
        let importer = try KMSImporter(node: "card0")
        let (first, second) = (TestImage(5), TestImage(6))
        let buffer = try first.buffer(from: "vgem")
        var screen = try Screen(on: importer)
        let picture = try Picture(of: buffer, on: importer)
        try screen.show(picture, until: limit)
        try second.paint(buffer)
        let upper = [ClipRectangle(left: 0, top: 0, right: 640, bottom: 240)]
        if isFlipped {
            _ = try screen.flip(to: picture, damage: upper)
            try screen.waitForFlip(until: limit)
        } else {
            try screen.markDirty(upper, until: limit)
        }
        let half = 640 * 240 * 3
        let shown = try ScreenPicture.take().bytes
        // Truths: how two pictures differ would take an expectation minutes to find out.
        let isAnew = shown.prefix(half) == second.picture.bytes.prefix(half)
        let isLeft = shown.suffix(half) == first.picture.bytes.suffix(half)
        #expect(isAnew)
        // The damage of a flip is a hint: cirrus copies the whole picture in Linux 6.1.
        let copiesAll = isFlipped && Sysfs.text("/proc/sys/kernel/osrelease")?.hasPrefix("6.1.") == true
        #expect(isLeft || copiesAll)
    }

    @Test(
        "300 frames of 4 buffers leave nothing behind", arguments: Backends.realExporters.filter { $0 != "dumb:card2" })
    func frames(exporter: String) throws {
        let importer = try KMSImporter(node: "card0")
        let image = TestImage(7)
        let buffers = try (0..<4).map { _ in try image.buffer(from: exporter) }
        let (framebuffers, free) = (Self.framebuffers, try importer.nextHandle())
        #expect(!framebuffers.isEmpty)
        do {
            var screen = try Screen(on: importer)
            let pictures = try buffers.map { try Picture(of: $0, on: importer) }
            try screen.show(pictures[3], until: limit)
            let (open, made, next) = (
                openDescriptors().count, Self.framebuffers.count, try importer.nextHandle()
            )
            for frame in 0..<300 {
                _ = try screen.flip(to: pictures[frame % 4])
                #expect(try screen.waitForFlip(until: limit) != nil)
            }
            #expect(openDescriptors().count == open)
            #expect(Self.framebuffers.count == made)
            #expect(try importer.nextHandle() == next)
            // What is not used any more may end at once.
            withExtendedLifetime(pictures) {}
        }
        #expect(Self.framebuffers == framebuffers)
        #expect(try importer.nextHandle() == free)
        for buffer in buffers { #expect(try buffer.memory[0].referenceCount() == 1) }
    }

    /// As debugfs lists the card's.
    private static var framebuffers: [Substring] {
        (Sysfs.text("/sys/kernel/debug/dri/0/framebuffer") ?? "").split(separator: "\n").filter {
            $0.hasPrefix("framebuffer")
        }
    }
}

extension KMSImporter {
    /// The number that the card gives to what is imported next: it grows with every one that was left behind.
    fileprivate func nextHandle() throws -> UInt32 {
        try node.importBuffer(Backends.bytes(4096, from: "vgem").duplicateDescriptor()).handle
    }
}
