// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What is true of every message.
public enum Wire {
    /// "DMBS" as bytes in this order.
    public static let magic: UInt32 = 0x5342_4d44
    public static let version: UInt16 = 1
    /// The longest message in bytes.
    public static let messageLimit = 16384
    /// What a message is received into, and encoded into: made once, and used again and again.
    public static var roomForMessage: [UInt8] { [UInt8](repeating: 0, count: messageLimit) }
    public static let headerSize = 16
    /// Bytes of UTF-8 in a name, and in a reason.
    public static let nameLimit = 64
    public static let reasonLimit = 512
    public static let fenceLimit = 16
    /// No message has more descriptors: an offer of an image with fences.
    public static var descriptorLimit: Int { BufferDescription.sizeLimit + fenceLimit }
    /// Bytes of UTF-8 in a name that the registry knows, and names of one buffer.
    public static let registryNameLimit = 255
    public static let registryNamesLimit = 4
    /// Buffers in one request for a lock.
    public static let lockLimit = 256
    /// Buffers in one part of a list.
    public static let listingLimit = 12
}
