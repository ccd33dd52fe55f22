// SPDX-License-Identifier: Apache-2.0

/// What one party needs of a buffer so that it can take it. A value: it is compared with what a buffer is before any
/// ioctl, and with what others need and offer before one is made.
///
/// The corresponding kernel names are `struct device_dma_parameters` and a driver's own checks, which it states nowhere.
public struct Requirements: Equatable, Sendable {
    /// Who needs it, by its name: "kms:card0".
    public var party: String
    /// The device's file, nil for the CPU.
    public var device: String?
    /// Whether a memfd will do in place of a dma-buf.
    public var takesStandIns = false
    /// Whose dma-bufs it takes; nil: anyone's.
    public var origin: Origin?
    /// What the memory must be able to do.
    public var traits: MemoryTraits = []
    /// The smallest dma-buf in bytes: room for a frame.
    public var leastSize: UInt64?
    /// The largest dma-buf in bytes.
    public var sizeLimit: UInt64?
    /// What an image must look like; nil: nothing is asked.
    public var image: ImageRequirements?
    /// Whether it takes plain bytes besides images that look so.
    public var takesBytes = false

    /// The exporters whose buffers a device takes, and why no others.
    public struct Origin: Equatable, Sendable {
        /// Names of kernel drivers as fdinfo's `exp_name` has them; none: it imports nothing.
        public var exporters: Set<String>
        /// Half a sentence: "it has no blob resources".
        public var reason: String

        public init(exporters: Set<String>, reason: String) {
            self.exporters = exporters
            self.reason = reason
        }
    }

    public init(
        party: String, device: String? = nil, takesStandIns: Bool = false, origin: Origin? = nil,
        traits: MemoryTraits = [], leastSize: UInt64? = nil, sizeLimit: UInt64? = nil, image: ImageRequirements? = nil
    ) {
        self.party = party
        self.device = device
        self.takesStandIns = takesStandIns
        self.origin = origin
        self.traits = traits
        self.leastSize = leastSize
        self.sizeLimit = sizeLimit
        self.image = image
    }
}

/// What a device that reads or writes pixels needs of an image.
public struct ImageRequirements: Equatable, Sendable {
    public var formats: FormatSet
    /// Pixels.
    public var widths: ClosedRange<UInt32>
    public var heights: ClosedRange<UInt32>
    /// Strides are multiples of this many bytes; of some formats, by fourcc, at most the limit.
    public var strideAlignment: UInt32
    public var strideLimits: [UInt32: UInt32]
    /// Planes start at multiples of this many bytes.
    public var offsetAlignment: UInt64
    /// How many dma-bufs one image may lie in.
    public var memoryLimit: Int
    /// The only layout, once the device has been told what will come: every line is where it says.
    public var layout: ImageLayout?

    public init(
        formats: FormatSet, widths: ClosedRange<UInt32> = 1...BufferRequest.sideLimit,
        heights: ClosedRange<UInt32> = 1...BufferRequest.sideLimit, strideAlignment: UInt32 = 1,
        strideLimits: [UInt32: UInt32] = [:], offsetAlignment: UInt64 = 1, memoryLimit: Int = ImageLayout.planeLimit
    ) {
        precondition(strideAlignment > 0 && offsetAlignment > 0)
        self.formats = formats
        self.widths = widths
        self.heights = heights
        self.strideAlignment = strideAlignment
        self.strideLimits = strideLimits
        self.offsetAlignment = offsetAlignment
        self.memoryLimit = memoryLimit
    }
}
