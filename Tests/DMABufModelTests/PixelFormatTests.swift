// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Pixel formats")
struct PixelFormatTests {
    @Test("a format is the same by its code and by its characters", arguments: PixelFormat.known)
    func names(_ name: String) throws {
        let format = try #require(PixelFormat(name))
        #expect(format.text == name)
        #expect(format.fourcc == fourcc(name))
        #expect(PixelFormat(fourcc: format.fourcc) == format)
        #expect((1...ImageLayout.planeLimit).contains(format.planes.count))
    }

    @Test("codes are those of drm_fourcc.h")
    func codes() {
        #expect(PixelFormat.xrgb8888.fourcc == 0x3432_5258)
        #expect(PixelFormat("NV12")?.fourcc == 0x3231_564e)
        #expect(PixelFormat("R8  ")?.fourcc == 0x2020_3852)
    }

    @Test("what is not known is none", arguments: ["", "XR2", "XR244", "ABCD", "R8", "é24"])
    func unknown(_ text: String) {
        #expect(PixelFormat(text) == nil)
    }

    @Test("the big-endian bit makes another format")
    func bigEndian() {
        #expect(PixelFormat(fourcc: PixelFormat.xrgb8888.fourcc | 0x8000_0000) == nil)
    }

    @Test("what is not printable shows as a dot")
    func unprintable() {
        #expect(PixelFormat.text(of: 0) == "....")
        #expect(PixelFormat.text(of: 0xff7f_1b41) == "A...")
        #expect(PixelFormat.text(of: 0x7e20_4141) == "AA ~")
    }

    @Test(
        "a frame takes as many bytes as its format says",
        arguments: [
            ("R8  ", 24), ("RG16", 48), ("RG24", 72), ("XR24", 96), ("XR4H", 192), ("YUYV", 48), ("NV12", 36),
            ("NV16", 48), ("NV24", 72), ("P010", 72), ("YU12", 36), ("YV16", 48), ("YU24", 72),
        ] as [(String, UInt64)])
    func bytesOfSixByFour(_ name: String, _ expected: UInt64) throws {
        let format = try #require(PixelFormat(name))
        let sum = format.planes.reduce(UInt64(0)) {
            $0 + $1.lineByteCount(width: 6) * UInt64($1.lineCount(height: 4))
        }
        #expect(sum == expected)
    }

    @Test("the widest and tallest image overflows nothing")
    func extremes() throws {
        for name in PixelFormat.known {
            for shape in try #require(PixelFormat(name)).planes {
                let wide = (UInt64(UInt32.max) + UInt64(shape.horizontal) - 1) / UInt64(shape.horizontal)
                #expect(shape.lineByteCount(width: .max) == wide * UInt64(shape.bytesPerSample))
                #expect(shape.lineCount(height: .max) == (shape.vertical == 1 ? .max : 1 << 31))
            }
        }
    }
}
