// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Descriptions against real sizes")
struct BufferDescriptionTests {
    @Test("bytes fit into memory of their size or more")
    func bytes() {
        #expect(BufferDescription.bytes(4096).problem(realSizes: [4096]) == nil)
        #expect(BufferDescription.bytes(1).problem(realSizes: [4096]) == nil)
        #expect(
            BufferDescription.bytes(4097).problem(realSizes: [4096])
                == .largerThanMemory(index: 0, described: 4097, real: 4096))
    }

    @Test("no size is zero, and none is more than a file can have")
    func impossibleSizes() {
        for size in [0, UInt64(Int64.max) + 1, .max] {
            #expect(BufferDescription.bytes(size).problem == .impossibleSize(index: 0, size: size))
        }
        #expect(BufferDescription.bytes(UInt64(Int64.max)).problem == nil)
        let second = BufferDescription.image("XR24", 1, 1, planes: [(0, 0, 4)], sizes: [4, 0])
        #expect(second.problem == .impossibleSize(index: 1, size: 0))
    }

    @Test("as many dma-bufs come as are described")
    func counts() {
        let one = BufferDescription.bytes(4096)
        #expect(one.problem(realSizes: []) == .memoryCount(described: 1, received: 0))
        #expect(one.problem(realSizes: [4096, 4096]) == .memoryCount(described: 1, received: 2))
    }

    @Test("a description has one to four dma-bufs")
    func limits() {
        let none = BufferDescription(sizes: [], content: .bytes)
        #expect(none.problem == .memoryCount(described: 0, received: 0))
        let five = BufferDescription.image("XR24", 1, 1, planes: [(4, 0, 4)], sizes: [4, 4, 4, 4, 4])
        #expect(five.problem == .memoryCount(described: 5, received: 5))
        let four = BufferDescription.image("XR24", 1, 1, planes: [(3, 0, 4)], sizes: [4, 4, 4, 4])
        #expect(four.problem == nil)
    }

    @Test("plain bytes lie in one dma-buf")
    func bytesOnTwo() {
        let two = BufferDescription(sizes: [4096, 4096], content: .bytes)
        #expect(two.problem == .memoryCount(described: 1, received: 2))
    }

    @Test("the size that is too large is named")
    func whichOne() {
        let image = BufferDescription.image("NV12", 2, 2, planes: [(0, 0, 2), (1, 0, 2)], sizes: [4, 2])
        #expect(image.problem(realSizes: [4, 2]) == nil)
        #expect(image.problem(realSizes: [4, 1]) == .largerThanMemory(index: 1, described: 2, real: 1))
        #expect(image.problem(realSizes: [3, 2]) == .largerThanMemory(index: 0, described: 4, real: 3))
    }

    @Test("the sum of sizes saturates")
    func byteCount() {
        #expect(BufferDescription.bytes(5).byteCount == 5)
        #expect(BufferDescription(sizes: [1, 2, 3], content: .bytes).byteCount == 6)
        #expect(BufferDescription(sizes: [.max, 1], content: .bytes).byteCount == .max)
        #expect(BufferDescription(sizes: [], content: .bytes).byteCount == 0)
    }

    @Test("an image is found where there is one")
    func image() {
        #expect(BufferDescription.bytes(1).image == nil)
        #expect(BufferDescription.image("XR24", 3, 2, stride: 12, size: 24).image?.width == 3)
    }

    @Test("every error says something of its own")
    func messages() {
        let errors: [DescriptionError] = [
            .memoryCount(described: 1, received: 2), .impossibleSize(index: 0, size: 0),
            .largerThanMemory(index: 0, described: 2, real: 1), .emptyImage, .unknownFormat(fourcc: 0x0102_0304),
            .planeCount(format: "NV12", needs: 2, has: 1), .planeOutsideMemory(plane: 0, memory: 1, count: 1),
            .strideTooSmall(plane: 0, stride: 1, needs: 2), .planePastEnd(plane: 0, ends: 2, size: 1),
            .planePastEnd(plane: 0, ends: nil, size: 1), .planeStartsPastEnd(plane: 0, offset: 2, size: 1),
        ]
        #expect(Set(errors.map { "\($0)" }).count == errors.count)
        #expect("\(DescriptionError.unknownFormat(fourcc: 0x0a02_4158))".contains("\"XA..\""))
    }
}
