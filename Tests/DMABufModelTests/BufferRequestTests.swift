// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Requests and what becomes of them")
struct BufferRequestTests {
    @Test("a linear description passes its own check for every known format", arguments: PixelFormat.known)
    func linearDescriptionPasses(_ name: String) throws {
        let format = try #require(PixelFormat(name))
        let sides: [UInt32] = [1, 2, 3, 5, 16, 63, 64, 65, 100, 639, 1080, 1920, 4097, 16384, BufferRequest.sideLimit]
        for width in sides {
            for height in sides {
                let request = BufferRequest.image(width: width, height: height, format: format)
                try #require(request.isPossible)
                for pageSize: UInt64 in [4096, 65536] {
                    let description = request.linearDescription(pageSize: pageSize)
                    try #require(description.problem == nil, "\(name) \(width)x\(height)")
                    try #require(description.sizes.count == 1 && description.sizes[0] % pageSize == 0)
                    try #require(description.sizes[0] - pageSize < (description.image?.end ?? 0))
                }
            }
        }
    }

    @Test("planes follow one another and lines are aligned")
    func arrangement() throws {
        let format = try #require(PixelFormat("NV12"))
        let description = BufferRequest.image(width: 1000, height: 3, format: format).linearDescription()
        let image = try #require(description.image)
        #expect(image.modifier == .linear && image.width == 1000 && image.height == 3)
        #expect(
            image.planes == [.init(memory: 0, offset: 0, stride: 1024), .init(memory: 0, offset: 3072, stride: 1024)])
        #expect(description.sizes == [8192])
    }

    @Test("bytes come in whole pages")
    func bytes() {
        #expect(BufferRequest.bytes(1).linearDescription() == .bytes(4096))
        #expect(BufferRequest.bytes(4096).linearDescription() == .bytes(4096))
        #expect(BufferRequest.bytes(4097).linearDescription(pageSize: 65536) == .bytes(65536))
    }

    @Test("what cannot be made is known before it is tried")
    func possible() {
        let format = PixelFormat.xrgb8888
        let limit = BufferRequest.sideLimit
        #expect(!BufferRequest.bytes(0).isPossible)
        #expect(BufferRequest.bytes(1).isPossible)
        #expect(!BufferRequest.bytes(.max).isPossible)
        #expect(!BufferRequest.bytes(UInt64(Int64.max)).isPossible)
        #expect(!BufferRequest.image(width: 0, height: 1, format: format).isPossible)
        #expect(!BufferRequest.image(width: 1, height: 0, format: format).isPossible)
        #expect(BufferRequest.image(width: limit, height: limit, format: format).isPossible)
        #expect(!BufferRequest.image(width: limit + 1, height: 1, format: format).isPossible)
        #expect(!BufferRequest.image(width: 1, height: .max, format: format).isPossible)
    }

    @Test("the largest bytes that are possible make a description that passes")
    func largest() {
        let largest = BufferRequest.bytes(UInt64(Int64.max) - 65536)
        #expect(largest.isPossible)
        #expect(largest.linearDescription().problem == nil)
        #expect(largest.linearDescription(pageSize: 65536).problem == nil)
    }
}

extension ImageLayout {
    /// Where its last plane ends, padding included.
    fileprivate var end: UInt64 {
        guard let plane = planes.last, let shape = format?.planes.last else { return 0 }
        return plane.offset + UInt64(plane.stride) * UInt64(shape.lineCount(height: height))
    }
}
