// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// Something that makes shareable memory. One file per backend, one line each in ``ExporterBackend/all``.
///
/// The corresponding kernel name is `struct dma_buf_ops`, seen from outside.
public protocol Exporter: Sendable {
    /// As it is written on the command line: "vgem:card1", "heap:system".
    var name: String { get }
    var capabilities: ExporterCapabilities { get }

    /// Makes a buffer of its own for `request`, zeroed, and says how it is laid out. The result owns the memory.
    ///
    /// Throws `invalid` for a request that cannot be, `unsupported` past a stated limit, `failed` for the kernel's no.
    func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer
}

/// What an exporter's buffers can do. Asserted by the conformance suite: a claim that does not hold is a bug.
public struct ExporterCapabilities: Sendable {
    public var traits: Traits
    /// The largest buffer in bytes, nil where no limit is stated.
    public var sizeLimit: UInt64?
    /// The device file and what opening it takes, in words for a person.
    public var permission: String?

    public init(_ traits: Traits, sizeLimit: UInt64? = nil, permission: String? = nil) {
        self.traits = traits
        self.sizeLimit = sizeLimit
        self.permission = permission
    }

    public struct Traits: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// `mmap` on the descriptor works.
        public static let cpuMappable = Traits(rawValue: 1)
        /// The buffer has a kernel reservation: sync_files go in and come out.
        public static let kernelFences = Traits(rawValue: 2)
        /// Its device has a display engine that can show it.
        public static let scanout = Traits(rawValue: 4)
        /// Physically contiguous.
        public static let contiguous = Traits(rawValue: 8)
        /// No dma-buf at all, but something that takes its place.
        public static let standIn = Traits(rawValue: 16)

        /// The names of the traits, for people and JSON.
        public var names: [String] {
            let all: [(Traits, String)] = [
                (.cpuMappable, "cpu-mappable"), (.kernelFences, "kernel-fences"), (.scanout, "scanout"),
                (.contiguous, "contiguous"), (.standIn, "stand-in"),
            ]
            return all.filter { contains($0.0) }.map(\.1)
        }
    }
}

extension Exporter {
    /// Refuses what cannot be before any ioctl: the first line of every `export`.
    func check(_ request: BufferRequest) throws(DMABufError) {
        guard request.isPossible else {
            throw DMABufError(.invalid, "\(name): no buffer can be made for \(request)")
        }
        let needed = request.linearDescription().byteCount
        if let limit = capabilities.sizeLimit, needed > limit {
            throw DMABufError(
                .unsupported, "\(name): \(needed) bytes asked for and at most \(limit) allowed",
                remedy: "ask for less, or raise the limit of the module")
        }
    }
}
