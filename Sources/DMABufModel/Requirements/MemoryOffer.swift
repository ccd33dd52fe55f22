// SPDX-License-Identifier: Apache-2.0

/// What an exporter's buffers are like, stated before one is made. The exporters' conformance suite holds each to it: a
/// claim that does not hold is a bug.
public struct MemoryOffer: Equatable, Sendable {
    public var traits: MemoryTraits
    /// The largest buffer in bytes, nil where no limit is stated.
    public var sizeLimit: UInt64?
    /// The smallest buffer in bytes, which is made where less is asked for; nil where every size is.
    public var leastSize: UInt64?
    /// What its images can be.
    public var formats: FormatSet
    /// Strides are multiples of this many bytes; one where the driver chooses as it likes.
    public var strideAlignment: UInt32
    /// The device's file, nil where it needs none.
    public var device: String?
    /// Who may open the device, in words for a person.
    public var permission: String?

    public init(
        _ traits: MemoryTraits, sizeLimit: UInt64? = nil, leastSize: UInt64? = nil, formats: FormatSet = .anyLinear,
        strideAlignment: UInt32 = UInt32(BufferRequest.strideAlignment), device: String? = nil,
        permission: String? = nil
    ) {
        self.traits = traits
        self.sizeLimit = sizeLimit
        self.leastSize = leastSize
        self.formats = formats
        self.strideAlignment = strideAlignment
        self.device = device
        self.permission = permission
    }
}
