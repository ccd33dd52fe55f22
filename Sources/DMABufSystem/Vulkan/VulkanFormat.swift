// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Which `VkFormat` a fourcc is: the pairs that say the same of every bit.
///
/// Vulkan names the components of a packed format from the lowest byte or the highest bit, and DRM always from the highest
/// bit of a little-endian word.
enum VulkanFormat {
    /// By the four characters of `drm_fourcc.h`. An X component is carried along as if it were alpha.
    private static let pairs: [(String, VkFormat)] = [
        ("R8  ", 9), ("GR88", 16), ("R16 ", 70), ("RG16", 4), ("BG16", 5),
        ("XB24", 37), ("AB24", 37), ("XR24", 44), ("AR24", 44), ("XR30", 58), ("AR30", 58), ("XB30", 64), ("AB30", 64),
        ("XB48", 91), ("AB48", 91), ("XB4H", 97), ("AB4H", 97), ("NV12", 1_000_156_003), ("NV16", 1_000_156_005),
        ("YU12", 1_000_156_002), ("P010", 1_000_156_013),
    ]

    static let all: [(fourcc: UInt32, format: VkFormat)] = pairs.map { (code($0.0), $0.1) }

    static func format(of fourcc: UInt32) -> VkFormat? { all.first { $0.fourcc == fourcc }?.format }

    private static func code(_ text: String) -> UInt32 {
        text.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
