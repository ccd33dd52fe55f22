// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem

/// What a description speaks of, copied from one buffer into another: bytes as they lie, an image line by line, for its
/// lines may lie differently in the other.
extension DescribedBuffer {
    /// Throws `invalid` unless the content fits into the destination as it is; `party` is who would copy it: "vulkan:0".
    public func checkCopy(into destination: DescribedBuffer, by party: String = "cpu") throws(DMABufError) {
        guard Set(memory.map(\.memoryNumber)).isDisjoint(with: destination.memory.map(\.memoryNumber)) else {
            throw DMABufError(.invalid, "\(party): a buffer is not copied into itself")
        }
        let fits =
            switch (description.content, destination.description.content) {
            case (.bytes, .bytes): description.byteCount <= destination.description.byteCount
            case (.image(let from), .image(let to)): from.isAlike(to)
            default: false
            }
        guard !fits else { return }
        throw DMABufError(
            .invalid,
            "\(party): \(description.summary) cannot be copied into \(destination.description.summary)",
            remedy: "make the destination as large, and of the same format")
    }

    /// Copies by the CPU, inside the brackets of both: begins when writers of this and all users of the destination have
    /// ended. `goesOn` hears of each part before it is copied, in bytes, and ends the copy by false; then this returns false.
    ///
    /// Throws `invalid` if the content does not fit, `unsupported` for an image that does not lie in lines, and `deadline`
    /// if somebody's work does not end by then.
    public func copyContent(
        into destination: DescribedBuffer, until deadline: Deadline, while goesOn: (Int) -> Bool = { _ in true }
    ) throws(DMABufError) -> Bool {
        try checkCopy(into: destination)
        guard case .image(let from) = description.content, case .image(let to) = destination.description.content else {
            return try copy(0, into: destination, 0, until: deadline, goesOn) {
                Stretch.bytes(description.byteCount, $0)
            }
        }
        guard from.modifier == .linear, to.modifier == .linear, let format = from.format else {
            throw DMABufError(
                .unsupported, "cpu: copies images that lie in lines alone, with the linear modifier",
                remedy: "have the device copy it that knows the modifier: vulkan")
        }
        for (index, shape) in format.planes.enumerated() {
            let (old, new) = (from.planes[index], to.planes[index])
            let isWhole = try copy(old.memory, into: destination, new.memory, until: deadline, goesOn) {
                Stretch.line($0, old, new, shape, of: from)
            }
            guard isWhole else { return false }
        }
        return true
    }

    /// As above, but all memory, described or not, into another buffer's of the same sizes.
    public func copyMemory(
        into destination: DescribedBuffer, until deadline: Deadline, while goesOn: (Int) -> Bool
    ) throws(DMABufError) -> Bool {
        for index in memory.indices {
            let isWhole = try copy(index, into: destination, index, until: deadline, goesOn) {
                Stretch.bytes(memory[index].byteCount, $0)
            }
            guard isWhole else { return false }
        }
        return true
    }

    /// Copies stretch after stretch, from one memory to one, inside one bracket of each.
    private func copy(
        _ old: Int, into destination: DescribedBuffer, _ new: Int, until deadline: Deadline,
        _ goesOn: (Int) -> Bool, _ stretch: (Int) -> Stretch?
    ) throws(DMABufError) -> Bool {
        let source = try CPUImporter().attach(memory[old], for: .read).map()
        var target = try CPUImporter().attach(destination.memory[new], for: .readWrite).map()
        let result = try source.withReadAccess(within: deadline.remaining) { from in
            Result { () throws(DMABufError) in
                try target.withWriteAccess(within: deadline.remaining) { to in
                    var index = 0
                    while let part = stretch(index) {
                        guard goesOn(part.byteCount) else { return false }
                        to.store(from.extracting(part.source..<part.source + part.byteCount), at: part.destination)
                        index += 1
                    }
                    return true
                }
            }
        }
        return try result.get()
    }
}

/// Bytes that lie together in both.
private struct Stretch {
    let source: Int
    let destination: Int
    let byteCount: Int

    /// So much at a time takes a moment and no more.
    private static let chunk = 1 << 20

    /// The index-th of plain bytes; nil behind the last.
    static func bytes(_ byteCount: UInt64, _ index: Int) -> Stretch? {
        let start = index * chunk
        guard start < byteCount else { return nil }
        return Stretch(source: start, destination: start, byteCount: min(chunk, Int(byteCount) - start))
    }

    /// The index-th line of a plane. Descriptions have been checked, so no sum overflows.
    static func line(
        _ index: Int, _ old: ImageLayout.Plane, _ new: ImageLayout.Plane, _ shape: PixelFormat.PlaneShape,
        of image: ImageLayout
    ) -> Stretch? {
        guard index < shape.lineCount(height: image.height) else { return nil }
        return Stretch(
            source: Int(old.offset) + index * Int(old.stride), destination: Int(new.offset) + index * Int(new.stride),
            byteCount: Int(shape.lineByteCount(width: image.width)))
    }
}

extension ImageLayout {
    /// Whether the samples of one fit into the other.
    fileprivate func isAlike(_ other: ImageLayout) -> Bool {
        (width, height, fourcc) == (other.width, other.height, other.fourcc)
    }
}

extension BufferDescription {
    /// For a message: "640x480 XR24", "4096 plain bytes".
    fileprivate var summary: String {
        guard let image else { return "\(byteCount) plain bytes" }
        return "\(image.width)x\(image.height) \(PixelFormat.text(of: image.fourcc))"
    }
}
