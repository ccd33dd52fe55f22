// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem

/// Pixel formats by their names in V4L2 and in DRM, which descriptions use: mostly the same, and sometimes turned around,
/// for one names bytes in memory and the other words.
enum VideoFormat {
    private struct Pair {
        let drm: UInt32
        let v4l2: UInt32
        /// How many memories a buffer of it has: one, or one for each plane.
        let memories: Int

        init(_ drm: String, _ v4l2: String, _ memories: Int = 1) {
            self.drm = fourcc(drm)
            self.v4l2 = fourcc(v4l2)
            self.memories = memories
        }
    }

    private static let pairs: [Pair] = {
        let same = [
            "XR24", "AR24", "XB24", "AB24", "RX24", "RA24", "BX24", "BA24", "XR15", "AR15", "YUYV", "UYVY", "YVYU",
            "VYUY",
            "NV12", "NV21", "NV16", "NV61", "NV24", "NV42", "YU12", "YV12", "P010",
        ].map { Pair($0, $0) }
        return same + [
            Pair("RG16", "RGBP"), Pair("RG24", "BGR3"), Pair("BG24", "RGB3"), Pair("R8  ", "GREY"),
            Pair("YU16", "422P"),
            Pair("NV12", "NM12", 2), Pair("NV21", "NM21", 2), Pair("NV16", "NM16", 2), Pair("NV61", "NM61", 2),
            Pair("YU12", "YM12", 3), Pair("YV12", "YM21", 3), Pair("YU16", "YM16", 3), Pair("YV16", "YM61", 3),
            Pair("YU24", "YM24", 3), Pair("YV24", "YM42", 3),
        ]
    }()

    /// V4L2's codes for a format of DRM's in so many memories, none where there is no such thing.
    static func video(_ drm: UInt32, memories: Int) -> [UInt32] {
        pairs.filter { $0.drm == drm && $0.memories == memories }.map(\.v4l2)
    }

    /// DRM's code, and nil for what descriptions cannot say: compressed frames above all.
    static func drm(_ video: UInt32) -> UInt32? { pairs.first { $0.v4l2 == video }?.drm }

    private static func fourcc(_ text: String) -> UInt32 { text.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
}

extension V4L2.Format {
    /// Where the driver puts the planes, in DRM's words; nil for what descriptions cannot say.
    ///
    /// In one memory the planes follow each other, and the stride of the first gives that of the others.
    var image: ImageLayout? {
        guard let fourcc = VideoFormat.drm(fourcc), let format = PixelFormat(fourcc: fourcc) else { return nil }
        var planes: [ImageLayout.Plane] = []
        if memories.count == 1 {
            var end: UInt64 = 0
            for shape in format.planes {
                let stride = format.stride(of: shape, from: memories[0].stride)
                planes.append(ImageLayout.Plane(memory: 0, offset: end, stride: stride))
                end += UInt64(stride) * UInt64(shape.lineCount(height: height))
            }
        } else {
            guard memories.count == format.planes.count else { return nil }
            planes = memories.enumerated().map { ImageLayout.Plane(memory: $0, offset: 0, stride: $1.stride) }
        }
        return ImageLayout(width: width, height: height, fourcc: fourcc, modifier: .linear, planes: planes)
    }

    var sizes: [UInt64] { memories.map { UInt64($0.byteCount) } }
}

extension PixelFormat {
    /// A plane's stride where the first plane's is given.
    fileprivate func stride(of plane: PlaneShape, from first: UInt32) -> UInt32 {
        let samples = UInt64(first) * UInt64(planes[0].horizontal) / UInt64(planes[0].bytesPerSample)
        return UInt32(clamping: samples / UInt64(plane.horizontal) * UInt64(plane.bytesPerSample))
    }
}
