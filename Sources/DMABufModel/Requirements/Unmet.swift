// SPDX-License-Identifier: Apache-2.0

/// A requirement that a buffer does not meet: which, whose, and what would do.
public struct Unmet: Equatable, Sendable {
    /// Who requires it.
    public let party: String
    public let requirement: Requirement

    public enum Requirement: Equatable, Sendable {
        case dmaBuf
        case origin(exporter: String, Requirements.Origin)
        case contiguous(exporter: String)
        case size(byteCount: UInt64, limit: UInt64)
        case anImage
        case format(fourcc: UInt32, takes: [UInt32])
        case modifier(fourcc: UInt32, Modifier, takes: [Modifier])
        case width(UInt32, takes: ClosedRange<UInt32>)
        case height(UInt32, takes: ClosedRange<UInt32>)
        /// `would` do: the next larger stride that the party takes.
        case strideAlignment(plane: Int, stride: UInt32, alignment: UInt32, would: UInt64)
        /// `would` do: the smallest stride that the party takes; nil if a line is too long for any.
        case strideLimit(plane: Int, stride: UInt32, limit: UInt32, would: UInt64?)
        case offset(plane: Int, offset: UInt64, alignment: UInt64)
        case memoryCount(Int, limit: Int)
        case room(byteCount: UInt64, least: UInt64)
        /// The device was told of one layout, and takes no other until it is told again.
        case layout(ImageLayout, takes: ImageLayout)
        case stride(plane: Int, stride: UInt32, takes: UInt32)
        case place(plane: Int, offset: UInt64, takes: UInt64)
    }

    public init(party: String, _ requirement: Requirement) {
        self.party = party
        self.requirement = requirement
    }
}

extension Unmet: CustomStringConvertible {
    /// One sentence without the party, which those who print it name first.
    public var description: String {
        switch requirement {
        case .dmaBuf: "a memfd is no dma-buf, and a device imports nothing else"
        case .origin(_, let origin) where origin.exporters.isEmpty: "it imports no dma-bufs: \(origin.reason)"
        case .origin(let exporter, let origin):
            "it imports dma-bufs of \(origin.exporters.sorted().joined(separator: ", ")) only, not of \(exporter): "
                + origin.reason
        case .contiguous(let exporter):
            "it needs physically contiguous memory, and that of \(exporter) is scattered"
        case .size(let byteCount, let limit): "it takes at most \(limit) bytes, and the buffer has \(byteCount)"
        case .anImage: "it takes images, and the buffer is described as plain bytes"
        case .format(let fourcc, let takes):
            "it does not take format \(PixelFormat.text(of: fourcc)), but "
                + (takes.isEmpty ? "none" : takes.map(PixelFormat.text).joined(separator: ", "))
        case .modifier(let fourcc, let modifier, let takes):
            "it does not take \(PixelFormat.text(of: fourcc)) with modifier \(modifier), but "
                + takes.map(\.description).joined(separator: ", ")
        case .width(let width, let takes): side("wide", width, takes)
        case .height(let height, let takes): side("high", height, takes)
        case .strideAlignment(let plane, let stride, let alignment, let would):
            "plane \(plane) has a stride of \(stride) bytes, which is no multiple of \(alignment); \(would) would do"
        case .strideLimit(let plane, let stride, let limit, let would):
            "plane \(plane) has a stride of \(stride) bytes, and at most \(limit) are taken"
                + (would.map { "; \($0) would do" } ?? "")
        case .offset(let plane, let offset, let alignment):
            "plane \(plane) starts at byte \(offset), which is no multiple of \(alignment)"
        case .memoryCount(let count, let limit):
            "the image lies in \(count) dma-bufs, and at most \(limit) are taken"
        case .room(let byteCount, let least):
            "a frame takes \(least) bytes, and the buffer has \(byteCount)"
        case .layout(let has, let takes): "it is set to \(takes.words), and the buffer is \(has.words)"
        case .stride(let plane, let stride, let takes):
            "plane \(plane) has a stride of \(stride) bytes, and it is set to \(takes)"
        case .place(let plane, let offset, let takes):
            "plane \(plane) starts at byte \(offset), and it is set to byte \(takes)"
        }
    }

    private func side(_ word: String, _ has: UInt32, _ takes: ClosedRange<UInt32>) -> String {
        "the image is \(has) pixels \(word), and \(takes.lowerBound) to \(takes.upperBound) are taken"
    }

    /// What to do about it.
    public var remedy: String {
        switch requirement {
        case .dmaBuf: "export from a real dma-buf exporter; `dmabuf-share doctor` says what this machine has"
        case .origin(_, let origin) where origin.exporters.isEmpty: "choose another device"
        case .origin(_, let origin): "export from \(origin.exporters.sorted().joined(separator: " or "))"
        case .contiguous: "export from a heap over the contiguous allocator (heap:reserved), or from \(party) itself"
        case .size: "share a smaller buffer"
        case .anImage: "share it with a width, a height and a format"
        case .format(_, let takes):
            takes.isEmpty ? "choose another device" : "convert it, or share it as \(PixelFormat.text(of: takes[0]))"
        case .modifier(_, _, let takes): "allocate it with modifier \(takes.first ?? .linear)"
        case .width, .height: "scale it"
        case .strideAlignment(_, _, _, let would): "allocate it with a stride of \(would) bytes"
        case .strideLimit(_, _, _, let would?): "allocate it with a stride of \(would) bytes"
        case .strideLimit: "make it narrower"
        case .offset(_, _, let alignment): "start planes at multiples of \(alignment) bytes"
        case .memoryCount: "put all planes into one dma-buf"
        case .room(_, let least): "share a buffer of \(least) bytes or more"
        case .layout(_, let takes): "share it as \(takes.words)"
        case .stride(_, _, let takes): "allocate it with a stride of \(takes) bytes"
        case .place(let plane, _, let takes): "put plane \(plane) at byte \(takes)"
        }
    }
}

extension ImageLayout {
    /// "640x480 XR24", with the number of its dma-bufs where they are several.
    public var words: String {
        let memories = Set(planes.map(\.memory)).count
        return "\(width)x\(height) \(PixelFormat.text(of: fourcc))" + (memories > 1 ? " in \(memories) dma-bufs" : "")
    }
}

extension Modifier: CustomStringConvertible {
    public var description: String {
        switch self {
        case .linear: "linear"
        case .invalid: "not stated"
        default: "0x\(String(rawValue, radix: 16))"
        }
    }
}
