// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import TestSupport
import Testing

/// Rule: *Every byte that a description speaks of is there.* No sum overflows on the way to finding out.
@Suite("Images in memory")
struct ImageLayoutTests {
    @Test("an image that fills its memory exactly fits, and one byte less does not")
    func exactFit() {
        #expect(BufferDescription.image("XR24", 64, 48, stride: 256, size: 12288).problem == nil)
        #expect(
            BufferDescription.image("XR24", 64, 48, stride: 256, size: 12287).problem
                == .planePastEnd(plane: 0, ends: 12288, size: 12287))
    }

    @Test("the last line needs no padding behind it")
    func lastLine() {
        #expect(BufferDescription.image("XR24", 3, 2, stride: 256, size: 268).problem == nil)
        #expect(
            BufferDescription.image("XR24", 3, 2, stride: 256, size: 267).problem
                == .planePastEnd(plane: 0, ends: 268, size: 267))
    }

    @Test("an offset moves the end")
    func offset() {
        #expect(BufferDescription.image("R8  ", 10, 10, stride: 10, offset: 28, size: 128).problem == nil)
        #expect(
            BufferDescription.image("R8  ", 10, 10, stride: 10, offset: 29, size: 128).problem
                == .planePastEnd(plane: 0, ends: 129, size: 128))
    }

    @Test("a stride holds a line")
    func strides() {
        #expect(
            BufferDescription.image("XR24", 64, 48, stride: 255, size: 1 << 20).problem
                == .strideTooSmall(plane: 0, stride: 255, needs: 256))
        #expect(
            BufferDescription.image("XR24", 64, 48, stride: 0, size: 1 << 20).problem
                == .strideTooSmall(plane: 0, stride: 0, needs: 256))
        #expect(
            BufferDescription.image("YUYV", 3, 1, stride: 7, size: 4096).problem
                == .strideTooSmall(plane: 0, stride: 7, needs: 8))
        #expect(
            BufferDescription.image("NV12", 5, 2, planes: [(0, 0, 5), (0, 10, 5)], sizes: [16]).problem
                == .strideTooSmall(plane: 1, stride: 5, needs: 6))
    }

    @Test("an image has pixels")
    func empty() {
        #expect(BufferDescription.image("XR24", 0, 1, stride: 4, size: 4).problem == .emptyImage)
        #expect(BufferDescription.image("XR24", 1, 0, stride: 4, size: 4).problem == .emptyImage)
    }

    @Test("a format that is not known cannot be checked", arguments: ["XR25", "\0\0\0\0", "xr24", "...."])
    func unknownFormat(_ text: String) {
        #expect(
            BufferDescription.image(text, 1, 1, stride: 4, size: 4096).problem == .unknownFormat(fourcc: fourcc(text)))
        #expect(
            BufferDescription.image(text, 1, 1, stride: 4, size: 4096, modifier: .invalid).problem
                == .unknownFormat(fourcc: fourcc(text)))
    }

    @Test("a linear image has the planes of its format, no fewer and no more")
    func planeCounts() {
        for count in [0, 1, 3, 4] {
            let planes = Array(repeating: (0, UInt64(0), UInt32(64)), count: count)
            #expect(
                BufferDescription.image("NV12", 8, 8, planes: planes, sizes: [4096]).problem
                    == .planeCount(format: "NV12", needs: 2, has: count))
        }
    }

    @Test("a plane lies in a dma-buf of the description")
    func planeIndex() {
        for memory in [1, 4, Int(UInt32.max), -1, Int.max] {
            #expect(
                BufferDescription.image("XR24", 1, 1, planes: [(memory, 0, 4)], sizes: [4096]).problem
                    == .planeOutsideMemory(plane: 0, memory: memory, count: 1))
        }
        #expect(
            BufferDescription.image("NV12", 2, 2, planes: [(0, 0, 2), (2, 0, 2)], sizes: [4, 4]).problem
                == .planeOutsideMemory(plane: 1, memory: 2, count: 2))
    }

    @Test("each plane is held against its own dma-buf")
    func severalMemories() {
        let planes: [(Int, UInt64, UInt32)] = [(2, 0, 4), (0, 0, 2), (1, 0, 2)]
        #expect(BufferDescription.image("YU12", 4, 4, planes: planes, sizes: [4, 4, 16]).problem == nil)
        #expect(
            BufferDescription.image("YU12", 4, 4, planes: planes, sizes: [4, 3, 16]).problem
                == .planePastEnd(plane: 2, ends: 4, size: 3))
        #expect(
            BufferDescription.image("YU12", 4, 4, planes: planes, sizes: [16, 16, 4]).problem
                == .planePastEnd(plane: 0, ends: 16, size: 4))
    }

    @Test("odd sizes round up where pixels share a sample")
    func subsampling() {
        let planes: [(Int, UInt64, UInt32)] = [(0, 0, 5), (0, 15, 6)]
        #expect(BufferDescription.image("NV12", 5, 3, planes: planes, sizes: [27]).problem == nil)
        #expect(
            BufferDescription.image("NV12", 5, 3, planes: planes, sizes: [26]).problem
                == .planePastEnd(plane: 1, ends: 27, size: 26))
    }

    @Test("nothing overflows at 32 bits")
    func overflowOf32Bits() {
        // 65536 lines of 65536 bytes are 2^32: a 32-bit product would be 0 and seem to fit.
        #expect(
            BufferDescription.image("R8  ", 1, 65537, stride: 65536, size: 4096).problem
                == .planePastEnd(plane: 0, ends: 1 << 32 + 1, size: 4096))
        // A 32-bit line would be 0 bytes: 2^30 pixels of 4 bytes.
        #expect(
            BufferDescription.image("XR24", 1 << 30, 1, stride: .max, size: 4096).problem
                == .strideTooSmall(plane: 0, stride: .max, needs: 1 << 32))
        // Rounding the width up must not wrap either.
        #expect(
            BufferDescription.image("YUYV", .max, 1, stride: 4, size: 4096).problem
                == .strideTooSmall(plane: 0, stride: 4, needs: 1 << 33))
        let tall = BufferDescription.image("NV12", 1, .max, planes: [(0, 0, 1), (0, 0, 2)], sizes: [1 << 32])
        #expect(tall.problem == nil)
    }

    @Test("nothing overflows at 64 bits")
    func overflowOf64Bits() {
        let size: UInt64 = 4096
        for offset: UInt64 in [.max, .max - 2, .max - 259] {
            #expect(
                BufferDescription.image("XR24", 1, 2, stride: 256, offset: offset, size: size).problem
                    == .planePastEnd(plane: 0, ends: nil, size: size))
        }
        // The last end that 64 bits can hold.
        #expect(
            BufferDescription.image("XR24", 1, 2, stride: 256, offset: .max - 260, size: size).problem
                == .planePastEnd(plane: 0, ends: .max, size: size))
        // The largest product leaves room below 2^64; an offset on top of it may not.
        let product = UInt64(UInt32.max) * UInt64(UInt32.max - 1)
        let end = product + UInt64(UInt32.max)
        #expect(
            BufferDescription.image("R8  ", .max, .max, stride: .max, size: size).problem
                == .planePastEnd(plane: 0, ends: end, size: size))
        #expect(
            BufferDescription.image("R8  ", .max, .max, stride: .max, offset: .max - product, size: size).problem
                == .planePastEnd(plane: 0, ends: nil, size: size))
        #expect(
            BufferDescription.image("R8  ", .max, .max, stride: .max, offset: .max - product + 1, size: size).problem
                == .planePastEnd(plane: 0, ends: nil, size: size))
    }

    @Test("of another modifier only what can be known is checked")
    func otherModifiers() {
        let tiled = Modifier(rawValue: 0x0100_0000_0000_0002)
        for modifier in [tiled, .invalid] {
            // A compressed image has planes that its format has not.
            #expect(
                BufferDescription.image(
                    "XR24", 64, 64, planes: [(0, 0, 256), (0, 16384, 64)], sizes: [20480], modifier: modifier
                ).problem == nil)
            #expect(
                BufferDescription.image("XR24", 64, 64, planes: [], sizes: [4096], modifier: modifier).problem
                    == .planeCount(format: "XR24", needs: 1, has: 0))
            #expect(
                BufferDescription.image("XR24", 64, 64, stride: 0, size: 4096, modifier: modifier).problem
                    == .strideTooSmall(plane: 0, stride: 0, needs: 1))
            #expect(
                BufferDescription.image("XR24", 64, 64, stride: 1, offset: 4095, size: 4096, modifier: modifier).problem
                    == nil)
            for offset: UInt64 in [4096, .max] {
                #expect(
                    BufferDescription.image("XR24", 64, 64, stride: 1, offset: offset, size: 4096, modifier: modifier)
                        .problem == .planeStartsPastEnd(plane: 0, offset: offset, size: 4096))
            }
            #expect(
                BufferDescription.image("XR24", 64, 64, planes: [(1, 0, 1)], sizes: [4096], modifier: modifier).problem
                    == .planeOutsideMemory(plane: 0, memory: 1, count: 1))
        }
    }

    @Test("no image has more than four planes")
    func tooManyPlanes() {
        let planes = Array(repeating: (0, UInt64(0), UInt32(256)), count: 5)
        #expect(
            BufferDescription.image("XR24", 8, 8, planes: planes, sizes: [4096], modifier: .invalid).problem
                == .planeCount(format: "XR24", needs: 1, has: 5))
    }

    @Test("a check agrees with arithmetic of 128 bits and never traps", arguments: [1, 2, 3] as [UInt64])
    func anything(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var fitting = 0
        for _ in 0..<40000 {
            let description = random.linearImage()
            let fits = description.problem == nil
            // Not an expectation for each: those cost more than what they look at.
            if fits != description.fitsBy128Bits { Issue.record("\(description)") }
            if fits { fitting += 1 }
        }
        #expect(fitting > 500 && fitting < 39500, "\(fitting) fit: the generator tests nothing")
    }
}

extension BufferDescription {
    /// The same question as `check`, asked where nothing can overflow. For linear images with the planes of their format.
    fileprivate var fitsBy128Bits: Bool {
        guard let layout = image, let format = layout.format, layout.width > 0, layout.height > 0,
            sizes.allSatisfy({ $0 > 0 && $0 <= UInt64(Int64.max) })
        else { return false }
        return zip(layout.planes, format.planes).allSatisfy { plane, shape in
            let across = UInt128(shape.horizontal)
            let down = UInt128(shape.vertical)
            let line = (UInt128(layout.width) + across - 1) / across * UInt128(shape.bytesPerSample)
            let lines = (UInt128(layout.height) + down - 1) / down
            let end = UInt128(plane.offset) + UInt128(plane.stride) * (lines - 1) + line
            return UInt128(plane.stride) >= line && end <= UInt128(sizes[plane.memory])
        }
    }
}
