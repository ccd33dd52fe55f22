// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// An image in shared memory that a card's display engine has taken in and can show. It keeps the memory for as long as it
/// lives; a ``Screen`` keeps what it shows.
///
/// The corresponding kernel name is `struct drm_framebuffer`.
public final class Picture: Sendable {
    public let buffer: DescribedBuffer
    public let width: UInt32
    public let height: UInt32
    let framebuffer: DRMFramebuffer
    private let imports: [Import]

    /// In a place that a list can hold.
    private final class Import: Sendable {
        let gem: GEMBuffer
        init(_ gem: consuming GEMBuffer) { self.gem = gem }
    }

    /// Imports the memory, each dma-buf once, and makes a framebuffer of it.
    ///
    /// Throws `refused` with the requirement that is not met, before anything is tried; `failed` if the driver has others, with
    /// the stride that it would choose itself; `gone` if the device is no more.
    public init(of buffer: DescribedBuffer, on importer: KMSImporter) throws(DMABufError) {
        if let exclusion = importer.exclusion(of: buffer) { throw exclusion }
        guard let image = buffer.description.image else {
            preconditionFailure("an image that is none was not excluded")
        }
        var imports: [Import] = []
        for memory in buffer.memory {
            imports.append(Import(try importer.node.importBuffer(memory, importer: importer.name)))
        }
        var planes: [DRMFramebuffer.Plane] = []
        for plane in image.planes {
            guard let offset = UInt32(exactly: plane.offset) else {
                throw DMABufError(
                    .refused,
                    "\(importer.name): a plane begins at byte \(plane.offset), and a framebuffer counts in 32 bits",
                    remedy: "put it into a dma-buf of its own")
            }
            planes.append(imports[plane.memory].gem.plane(offset: offset, stride: plane.stride))
        }
        do throws(Errno) {
            framebuffer = try DRMFramebuffer(
                on: importer.node, width: image.width, height: image.height, fourcc: image.fourcc, planes: planes,
                modifier: importer.stated(image.modifier))
        } catch { throw importer.explained(error, image) }
        (self.buffer, self.imports) = (buffer, imports)
        (width, height) = (image.width, image.height)
    }

    /// What has to end before it may be shown: the writers in the kernel's reservation of its memory, and `fence`, as one.
    /// nil where the kernel (before 6.0) cannot tell; it waits by itself then.
    func fence(and fence: Fence?) throws(DMABufError) -> Fence? {
        try buffer.fence(waitingBefore: .read, and: fence)
    }

    /// Whoever wants to write waits until `fence`: it is being read.
    func isRead(until fence: Fence) throws(DMABufError) {
        for memory in buffer.memory where fence.kind == .syncFile {
            do throws(DMABufError) { try memory.add(fence, as: .read) } catch {
                guard error.cause == .inappropriateIOCTLForDevice else { throw error }
            }
        }
    }
}

extension KMSImporter {
    /// A device that knows no modifiers takes none, and shows linear images.
    fileprivate func stated(_ modifier: Modifier) -> UInt64? {
        guard modifier != .invalid, node.capability(.framebufferModifiers) != 0 else { return nil }
        return modifier.rawValue
    }

    /// The driver's no, with what it would take: the stride that it chooses for its own buffers of that size.
    func explained(_ error: Errno, _ image: ImageLayout) -> DMABufError {
        let format = PixelFormat.text(of: image.fourcc)
        let strides = image.planes.map { "\($0.stride)" }.joined(separator: " and ")
        let shape = image.format?.planes.first
        let own = shape.flatMap { shape in
            try? node.createDumbBuffer(
                width: image.width, height: image.height, bitsPerPixel: shape.bytesPerSample * 8
            ).stride
        }
        return .device(
            "\(name): show \(image.width)x\(image.height) \(format) with a stride of \(strides) bytes", error, node,
            remedy: error == .invalidArgument ? remedy(own, image) : nil)
    }

    private func remedy(_ own: UInt32?, _ image: ImageLayout) -> String? {
        guard let own else { return nil }
        if image.planes.first?.stride == own { return "the kernel's log may say what its driver misses: dmesg | tail" }
        return "a stride of \(own) bytes is what \(driver) itself chooses"
    }
}
