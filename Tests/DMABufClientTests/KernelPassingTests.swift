// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("Passing a buffer", .leavesNoDescriptor)
struct KernelPassingTests {
    @Test(arguments: Backends.exporters)
    func theOtherSideReadsTheSameBytes(name: String) async throws {
        let made = try ExporterBackend.open(name).export(.image(width: 64, height: 32, format: .xrgb8888))
        var mapping = try CPUImporter().attach(made.memory[0], for: .readWrite).map()
        try mapping.withWriteAccess { Pattern.fill(&$0) }
        mapping.unmap()
        let (sent, received) = try await play { peer in
            try peer.offer(made, for: .readWrite, named: "frame", until: .after(soon))
        } receiver: { peer in
            let offer = try peer.nextOffer(until: .after(soon))
            let view = try CPUImporter().attach(offer.buffer.memory[0], for: .read).map()
            let checksum = try view.withReadAccess { bytes in
                var checksum = Checksum()
                checksum.add(bytes)
                return checksum
            }
            return (checksum, offer)
        }
        try sent.get()
        let (checksum, offer) = try received.get()
        #expect(checksum == Pattern.checksum(byteCount: Int(made.memory[0].byteCount)))
        #expect(offer.name == "frame")
        #expect(offer.buffer.memory[0].inode == made.memory[0].inode)
        #expect(offer.buffer.description == made.description)
    }

    @Test(arguments: Backends.exporters)
    func planesOnSeveralBuffersArriveInOrder(name: String) async throws {
        let memory = try [8192, 4096].map { try Backends.bytes($0, from: name) }
        let layout = ImageLayout(
            width: 64, height: 64, fourcc: try #require(PixelFormat("NV12")).fourcc, modifier: .linear,
            planes: [.init(memory: 0, offset: 0, stride: 64), .init(memory: 1, offset: 0, stride: 64)])
        let made = try DescribedBuffer(BufferDescription(sizes: [8192, 4096], content: .image(layout)), memory: memory)
        let (sent, received) = try await play { peer in
            try peer.offer(made, for: .read, until: .after(soon))
        } receiver: { peer in
            try peer.nextOffer(until: .after(soon)).buffer.memory.map(\.inode)
        }
        try sent.get()
        #expect(try received.get() == memory.map(\.inode))
    }

    @Test func fencesTravelAndAreWaitedFor() async throws {
        let made = try ExporterBackend.open("memfd").export(.bytes(4096))
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        let (sent, received) = try await play { peer in
            let promises = [PromisedFence(fence, as: .write), PromisedFence(fence, as: .bookkeep)]
            try peer.offer(made, for: .read, fences: promises, until: .after(soon))
        } receiver: { peer in
            let offer = try peer.nextOffer(until: .after(soon))
            #expect(try offer.fences[0].fence.status() == .pending)
            return offer
        }
        try sent.get()
        let offer = try received.get()
        try event.signal()
        try offer.waitForFences(before: .read)
        #expect(try offer.fences[0].fence.status() == .signalled)
        #expect(offer.fences.map(\.usage) == [.write, .bookkeep])
    }

    @Test func aFenceThatNeverEndsEndsAtItsDeadline() async throws {
        let made = try ExporterBackend.open("memfd").export(.bytes(4096))
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        let (sent, received) = try await play { peer in
            let promise = PromisedFence(fence, as: .write, within: .milliseconds(30))
            try peer.offer(made, for: .read, fences: [promise], until: .after(soon))
        } receiver: { peer in
            try peer.nextOffer(until: .after(soon)).waitForFences(before: .read)
        }
        try sent.get()
        #expect(throws: DMABufError.self) { try received.get() }
    }

    /// A reader need not wait for other readers: only classes up to write.
    @Test func aReadersFenceHoldsOnlyWritersBack() async throws {
        let made = try ExporterBackend.open("memfd").export(.bytes(4096))
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        let (_, received) = try await play { peer in
            let promise = PromisedFence(fence, as: .read, within: .milliseconds(30))
            try peer.offer(made, for: .readWrite, fences: [promise], until: .after(soon))
        } receiver: { peer in
            try peer.nextOffer(until: .after(soon))
        }
        let offer = try received.get()
        try offer.waitForFences(before: .read)
        #expect(throws: DMABufError.self) { try offer.waitForFences(before: .write) }
    }

    @Test func aNameThatIsTooLongIsALocalError() async throws {
        let made = try ExporterBackend.open("memfd").export(.bytes(4096))
        let (sent, received) = try await play { peer in
            do throws(DMABufError) {
                try peer.offer(made, for: .read, named: String(repeating: "x", count: 65), until: .after(soon))
                return "sent"
            } catch { return error.code.name }
        } receiver: { peer in
            do throws(DMABufError) {
                _ = try peer.nextOffer(until: .after(soon))
                return "received"
            } catch { return error.code.name }
        }
        #expect(try sent.get() == "invalid")
        #expect(try received.get() == "gone")
    }

    @Test func aWaitForAnOfferEnds() async throws {
        let (_, received) = try await play { peer in
            Clock.sleep(.seconds(2))
        } receiver: { peer in
            do throws(DMABufError) {
                _ = try peer.nextOffer(until: .after(.milliseconds(30)))
                return "received"
            } catch { return error.code.name }
        }
        #expect(try received.get() == "deadline")
    }
}
