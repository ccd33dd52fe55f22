// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// The function that a loader or a driver has under that name. The caller knows its type.
@unsafe
func vulkanCall<Function>(
    _ name: String, _ find: (UnsafePointer<CChar>) -> VkAnyFunction?
) throws(VulkanFailure) -> Function {
    precondition(MemoryLayout<Function>.size == MemoryLayout<VkAnyFunction?>.size)
    guard let function = unsafe name.withCString({ unsafe find($0) }) else {
        throw .missing("the driver has no \(name)")
    }
    return unsafe unsafeBitCast(function, to: Function.self)
}

/// The text in an array of characters of a C structure, which ends with a zero or with the array.
@unsafe
func vulkanText<Characters>(_ characters: Characters) -> String {
    unsafe withUnsafeBytes(of: characters) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
