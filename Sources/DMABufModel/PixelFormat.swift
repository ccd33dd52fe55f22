// SPDX-License-Identifier: Apache-2.0

/// A pixel format by its fourcc, as in `drm_fourcc.h`, with the shape of its planes. Only formats whose shape is known
/// here exist: a size cannot be checked without it.
public struct PixelFormat: Hashable, Sendable {
    /// The code with its first character in the lowest byte.
    public let fourcc: UInt32

    /// One plane of a linear image.
    public struct PlaneShape: Hashable, Sendable {
        /// Bytes of one sample (which may stand for several components).
        public let bytesPerSample: UInt32
        /// How many pixels share a sample, across and down.
        public let horizontal: UInt32
        public let vertical: UInt32
    }

    public let planes: [PlaneShape]

    public init?(fourcc: UInt32) {
        guard let planes = Self.shapes[fourcc] else { return nil }
        self.fourcc = fourcc
        self.planes = planes
    }

    /// From its four characters: "XR24".
    public init?(_ text: String) {
        guard text.utf8.count == 4 else { return nil }
        self.init(fourcc: Self.fourcc(of: text))
    }

    private static func fourcc(of text: String) -> UInt32 { text.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) } }

    public static let xrgb8888 = PixelFormat("XR24")!

    /// Its four characters; what is not printable shows as a dot.
    public var text: String { Self.text(of: fourcc) }

    public static func text(of fourcc: UInt32) -> String {
        String(
            decoding: (0..<4).map { index -> UInt8 in
                let byte = UInt8(truncatingIfNeeded: fourcc >> (8 * UInt32(index)))
                return (0x20...0x7e).contains(byte) ? byte : 0x2e
            }, as: UTF8.self)
    }

    /// The formats that are known, by their four characters.
    public static var known: [String] { shapes.keys.map(text).sorted() }

    private static let shapes: [UInt32: [PlaneShape]] = {
        func packed(_ bytes: UInt32) -> [PlaneShape] {
            [PlaneShape(bytesPerSample: bytes, horizontal: 1, vertical: 1)]
        }
        func planar(_ luma: UInt32, _ chroma: [UInt32], across: UInt32, down: UInt32) -> [PlaneShape] {
            packed(luma) + chroma.map { PlaneShape(bytesPerSample: $0, horizontal: across, vertical: down) }
        }
        var shapes: [String: [PlaneShape]] = [:]
        for name in ["R8  "] { shapes[name] = packed(1) }
        for name in ["RG16", "BG16", "XR15", "AR15", "XR12", "AR12", "R16 ", "GR88", "RG88"] {
            shapes[name] = packed(2)
        }
        for name in ["RG24", "BG24"] { shapes[name] = packed(3) }
        for name in [
            "XR24", "AR24", "XB24", "AB24", "RX24", "RA24", "BX24", "BA24", "XR30", "AR30", "XB30", "AB30", "GR32",
        ] { shapes[name] = packed(4) }
        for name in ["XR48", "AR48", "XB48", "AB48", "XR4H", "AR4H", "XB4H", "AB4H"] { shapes[name] = packed(8) }
        // Two pixels in four bytes.
        for name in ["YUYV", "YVYU", "UYVY", "VYUY"] {
            shapes[name] = [PlaneShape(bytesPerSample: 4, horizontal: 2, vertical: 1)]
        }
        for name in ["NV12", "NV21"] { shapes[name] = planar(1, [2], across: 2, down: 2) }
        for name in ["NV16", "NV61"] { shapes[name] = planar(1, [2], across: 2, down: 1) }
        for name in ["NV24", "NV42"] { shapes[name] = planar(1, [2], across: 1, down: 1) }
        for name in ["P010", "P012", "P016"] { shapes[name] = planar(2, [4], across: 2, down: 2) }
        for name in ["YU12", "YV12"] { shapes[name] = planar(1, [1, 1], across: 2, down: 2) }
        for name in ["YU16", "YV16"] { shapes[name] = planar(1, [1, 1], across: 2, down: 1) }
        for name in ["YU24", "YV24"] { shapes[name] = planar(1, [1, 1], across: 1, down: 1) }
        return [UInt32: [PlaneShape]](uniqueKeysWithValues: shapes.map { (fourcc(of: $0), $1) })
    }()
}

/// How the pixels of every plane are arranged in memory: vendor in the top byte, its own code below.
///
/// The corresponding kernel name is `DRM_FORMAT_MOD_*`.
public struct Modifier: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Line after line.
    public static let linear = Modifier(rawValue: 0)
    /// Not stated: the driver's private agreement with itself.
    public static let invalid = Modifier(rawValue: 0x00ff_ffff_ffff_ffff)
}
