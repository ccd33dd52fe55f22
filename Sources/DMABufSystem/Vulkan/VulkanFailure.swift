// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Why Vulkan did not do something.
public enum VulkanFailure: Error, Equatable, Sendable {
    /// The loader, a device or a function is not there; says what.
    case missing(String)
    /// A call was answered with a result below zero, or with the end of a wait.
    case refused(call: String, result: Int32)

    public static let timeout: Int32 = 2
    public static let outOfHostMemory: Int32 = -1
    public static let outOfDeviceMemory: Int32 = -2
    public static let deviceLost: Int32 = -4

    /// The specification's name of the result.
    static func name(of result: Int32) -> String {
        let names: [Int32: String] = [
            timeout: "VK_TIMEOUT", outOfHostMemory: "VK_ERROR_OUT_OF_HOST_MEMORY",
            outOfDeviceMemory: "VK_ERROR_OUT_OF_DEVICE_MEMORY", -3: "VK_ERROR_INITIALIZATION_FAILED",
            deviceLost: "VK_ERROR_DEVICE_LOST", -7: "VK_ERROR_EXTENSION_NOT_PRESENT",
            -8: "VK_ERROR_FEATURE_NOT_PRESENT", -9: "VK_ERROR_INCOMPATIBLE_DRIVER", -10: "VK_ERROR_TOO_MANY_OBJECTS",
            -11: "VK_ERROR_FORMAT_NOT_SUPPORTED", -1_000_072_003: "VK_ERROR_INVALID_EXTERNAL_HANDLE",
            -1_000_158_000: "VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT",
        ]
        return names[result] ?? "VkResult \(result)"
    }
}

extension VulkanFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .missing(let what): what
        case .refused(let call, let result): "\(call) says \(Self.name(of: result))"
        }
    }
}

/// Throws what is no success. `VK_TIMEOUT`, `VK_NOT_READY` and the like are above zero, and no success either.
@inline(__always)
func succeeding(_ call: StaticString, _ result: VkResult) throws(VulkanFailure) {
    guard result == 0 else { throw .refused(call: "\(call)", result: result) }
}
