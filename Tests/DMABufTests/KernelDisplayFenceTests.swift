// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What a flip waits for, and who waits for a flip. Each fact is seen on the screen, too.
@Suite("A flip and its fences", .leavesNoDescriptor, .requires("kms:card0", "vgem", "screenshot"))
struct KernelDisplayFenceTests {
    private let limit = Deadline.after(.seconds(120))
    private let old = TestImage(11)
    private let new = TestImage(12)

    enum Way: CaseIterable {
        /// In the kernel's reservation of the buffer.
        case implicit
        /// Handed over with the flip.
        case explicit
    }

    @Test("a flip waits for a writer, and writers wait for the flip", arguments: Way.allCases, [true, false])
    func writer(way: Way, isSameBuffer: Bool) throws {
        let importer = try KMSImporter(node: "card0")
        var screen = try Screen(on: importer)
        let first = try Picture(of: old.buffer(from: "vgem"), on: importer)
        try screen.show(first, until: limit)
        let buffer = isSameBuffer ? first.buffer : try new.buffer(from: "vgem")
        if isSameBuffer { try new.paint(buffer) }
        let next = isSameBuffer ? first : try Picture(of: buffer, on: importer)

        let work = try ScratchFence()
        if way == .implicit { try buffer.memory[0].add(work.fence, as: .write) }
        let end = try screen.flip(to: next, waitingFor: way == .explicit ? work.fence : nil)
        do throws(DMABufError) {
            try screen.waitForFlip(until: .after(.milliseconds(500)))
            Issue.record("it did not wait")
        } catch {
            #expect(error.code == .deadline && error.message.contains("vgem"), "\(error)")
        }
        let isPending = screen.hasPendingFlip
        #expect(isPending)
        #expect(try end.status() == .pending)
        #expect(try ScreenPicture.take() == old.picture)
        // Whoever wants to draw over either picture waits for the flip: by its sync_file, by poll, by the CPU's bracket.
        for picture in [first, next] {
            let memory = picture.buffer.memory[0]
            #expect(try memory.fence(waitingBefore: .write)?.status() == .pending)
            let descriptor = try memory.duplicateDescriptor()
            #expect(try Poll.wait(descriptor, for: .writable, until: .now()).isEmpty)
            var mapping = try CPUImporter().attach(memory, for: .readWrite).map()
            #expect(throws: DMABufError.self) { try mapping.withWriteAccess(within: .milliseconds(50)) { _ in } }
        }
        // Nothing else is submitted meanwhile.
        #expect(throws: DMABufError.self) { _ = try screen.flip(to: first) }

        try work.signal()
        #expect(try screen.waitForFlip(until: limit) != nil)
        #expect(try end.wait(until: limit) == .signalled)
        #expect(try ScreenPicture.take() == new.picture)
        for picture in [first, next] {
            #expect(try picture.buffer.memory[0].fence(waitingBefore: .write)?.wait(until: limit) == .signalled)
        }
    }

    @Test("a reader does not delay it")
    func reader() throws {
        let importer = try KMSImporter(node: "card0")
        var screen = try Screen(on: importer)
        try screen.show(Picture(of: old.buffer(from: "vgem"), on: importer), until: limit)
        let buffer = try new.buffer(from: "vgem")
        let work = try ScratchFence()
        try buffer.memory[0].add(work.fence, as: .read)
        _ = try screen.flip(to: Picture(of: buffer, on: importer))
        // vgem's fence would end by itself after ten seconds.
        #expect(try screen.waitForFlip(until: .after(.seconds(5))) != nil)
        #expect(try work.fence.status() == .pending)
        #expect(try ScreenPicture.take() == new.picture)
        try work.signal()
    }

    @Test("nothing is shown, dirtied or set for a writer that does not end, who is named")
    func neverSignalled() throws {
        let importer = try KMSImporter(node: "card0")
        let before = try ScreenPicture.take()
        let (first, second) = (try old.buffer(from: "vgem"), try new.buffer(from: "vgem"))
        do {
            var screen = try Screen(on: importer)
            let work = try ScratchFence()
            try second.memory[0].add(work.fence, as: .write)
            let picture = try Picture(of: second, on: importer)
            expectLate { () throws(DMABufError) in try screen.show(picture, until: .after(.milliseconds(200))) }
            #expect(try ScreenPicture.take() == before)
            try screen.show(Picture(of: first, on: importer), until: limit)
            try first.memory[0].add(work.fence, as: .write)
            expectLate { () throws(DMABufError) in try screen.markDirty(until: .after(.milliseconds(200))) }
            _ = try screen.flip(to: picture)
            expectLate { () throws(DMABufError) in try screen.waitForFlip(until: .after(.milliseconds(200))) }
            #expect(try ScreenPicture.take() == old.picture)
        }
        // The end waits until the kernel gives the fence up, and then the screen is as it was.
        #expect(try ScreenPicture.take() == before)
    }

    private func expectLate(_ work: () throws(DMABufError) -> Void) {
        do throws(DMABufError) {
            try work()
            Issue.record("it did not wait")
        } catch { #expect(error.code == .deadline && error.message.contains("vgem"), "\(error)") }
    }
}
