// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// Timelines of virtio-gpu, with fences of vgem's on them.
@Suite("Timelines", .leavesNoDescriptor, .requires("timeline:card2", "vgem"))
struct KernelTimelineTests {
    private let soon = Duration.milliseconds(30)

    private func device() throws(DMABufError) -> TimelineDevice { try TimelineDevice(node: "card2") }

    @Test func aFenceGoesOntoAPointAndComesOffIt() throws {
        let timeline = try Timeline(on: device())
        let scratch = try ScratchFence()
        try timeline.signal(3)
        try timeline.add(scratch.fence, at: 10)
        #expect(try timeline.signalledPoint() == 3 && timeline.submittedPoint() == 10)
        let back = try timeline.fence(at: 10)
        #expect(try back.status() == .pending)
        // Drivers obey it: it is a fence like any other.
        let buffer = try Backends.bytes(4096, from: Backends.realExporters[0])
        try buffer.add(back, as: .write)
        #expect(try buffer.fence(waitingBefore: .read)?.status() == .pending)
        try timeline.wait(for: 3, until: .now())
        do throws(DMABufError) {
            try timeline.wait(for: 10, until: .after(soon))
            Issue.record("waited for nothing")
        } catch { #expect(error.code == .deadline && error.message.contains("vgem"), "\(error)") }
        try scratch.signal()
        try timeline.wait(for: 10, until: .after(.seconds(5)))
        #expect(try back.status() == .signalled && timeline.signalledPoint() == 10)
        #expect(try buffer.fence(waitingBefore: .read)?.status() == .signalled)
    }

    @Test func whatWasNotSubmittedIsWaitedForAndNamed() throws {
        let timeline = try Timeline(on: device())
        #expect(throws: DMABufError.self) { _ = try timeline.fence(at: 1) }
        for stage in [Timeline.Stage.submitted, .signalled] {
            do throws(DMABufError) {
                try timeline.wait(for: 1, stage, until: .after(soon))
                Issue.record("waited for nothing")
            } catch { #expect(error.code == .deadline && error.message.contains("nothing was submitted"), "\(error)") }
        }
        let scratch = try ScratchFence()
        let event = try EventFD()
        let submitted = try EventFD()
        try timeline.raise(event, at: 1)
        try timeline.raise(submitted, at: 1, .submitted)
        #expect(try Poll.wait(submitted.descriptor, for: .readable, until: .now()).isEmpty)
        try timeline.add(scratch.fence, at: 1)
        try timeline.wait(for: 1, .submitted, until: .after(.seconds(5)))
        #expect(try !Poll.wait(submitted.descriptor, for: .readable, until: .after(.seconds(5))).isEmpty)
        #expect(try Poll.wait(event.descriptor, for: .readable, until: .now()).isEmpty)
        try scratch.signal()
        #expect(try !Poll.wait(event.descriptor, for: .readable, until: .after(.seconds(5))).isEmpty)
    }

    @Test func pointsGrow() throws {
        let timeline = try Timeline(on: device())
        try timeline.signal(5)
        for point in [0, 4, 5] as [UInt64] {
            #expect(throws: DMABufError.self) { try timeline.signal(point) }
        }
        let scratch = try ScratchFence()
        #expect(throws: DMABufError.self) { try timeline.add(scratch.fence, at: 5) }
        let event = try Fence(adopting: EventFD().descriptor.duplicate())
        #expect(throws: DMABufError.self) { try timeline.add(event, at: 6) }
        #expect(try timeline.submittedPoint() == 5)
    }

    @Test func anyAndAll() throws {
        let device = try device()
        let (first, second) = (try Timeline(on: device), try Timeline(on: device))
        let points = [(timeline: first, point: UInt64(1)), (timeline: second, point: UInt64(1))]
        try second.signal(1)
        #expect(try Timeline.wait(for: points, .any, until: .after(.seconds(5))) == 1)
        do throws(DMABufError) {
            try Timeline.wait(for: points, .all, until: .after(soon))
            Issue.record("waited for nothing")
        } catch { #expect(error.code == .deadline) }
        try first.signal(1)
        try Timeline.wait(for: points, .all, until: .after(.seconds(5)))
    }

    @Test func itIsPassedByDescriptor() throws {
        let mine = try Timeline(on: device())
        let theirs = try Timeline(adopting: mine.duplicateDescriptor(), on: device())
        try mine.signal(7)
        #expect(try theirs.signalledPoint() == 7)
        let other = try MemFD.create(named: "x", byteCount: 1)
        do throws(DMABufError) {
            _ = try Timeline(adopting: other, on: device())
            Issue.record("a memfd is a timeline")
        } catch { #expect(error.code == .failed) }
    }

    @Test func aBuffersUsesHaveOneTimeline() throws {
        let buffer = try Backends.bytes(4096, from: Backends.realExporters[0])
        var releases = try ReleaseTimeline(of: buffer, on: device())
        #expect(try releases.isFree())
        let (first, second) = (try ScratchFence(), try ScratchFence())
        #expect(try releases.release(after: first.fence) == 1)
        #expect(try releases.release(after: second.fence) == 2)
        // The second ends first, and is over only with the first.
        try second.signal()
        #expect(try !releases.isFree())
        #expect(throws: DMABufError.self) { try releases.waitUntilFree(until: .after(soon)) }
        try first.signal()
        try releases.waitUntilFree(until: .after(.seconds(5)))
        #expect(try releases.isFree())
    }

    @Test func whoHasNoneSaysWhoMayHave() throws {
        for node in ["card0", "card1"] {
            do throws(DMABufError) {
                _ = try TimelineDevice(node: node)
                Issue.record("\(node) has timelines")
            } catch { #expect(error.code == .unsupported && error.remedy?.contains("devices") == true) }
        }
    }
}
