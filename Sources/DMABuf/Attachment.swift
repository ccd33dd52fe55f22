// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// A buffer that an importer has taken in. Its end detaches: the device lets go of the memory.
///
/// The corresponding kernel name is `struct dma_buf_attachment`.
public struct Attachment: ~Copyable, Sendable {
    public let buffer: DMABuffer
    public let access: Access
    /// The importer's name: "cpu", "drm:card0".
    public let importer: String
    private let place: Place

    /// Where the buffer is attached.
    enum Place: ~Copyable, Sendable {
        case cpu
        case gem(GEMBuffer)
        case video(VideoImport)
        case gpu(VulkanBuffer)
    }

    init(buffer: DMABuffer, access: Access, importer: String, place: consuming Place) {
        self.buffer = buffer
        self.access = access
        self.importer = importer
        self.place = place
    }

    /// Maps the whole buffer for the CPU: by its own descriptor, or through the device that imported it.
    ///
    /// Throws `unsupported` if the exporter or the device lends nothing to the CPU. The corresponding C function is
    /// `mmap`.
    public borrowing func map() throws(DMABufError) -> Mapping {
        let byteCount = Int(buffer.byteCount)
        let writable = access.contains(.write)
        do throws(Errno) {
            switch place {
            case .cpu:
                return Mapping(
                    buffer: buffer,
                    memory: try MemoryMapping(buffer.descriptor, byteCount: byteCount, writable: writable))
            case .gem(let gem):
                return Mapping(buffer: buffer, memory: try gem.map(byteCount: byteCount, writable: writable))
            // What it imported it lends to nobody.
            case .video: throw .notSupported
            case .gpu: throw .notSupported
            }
        } catch {
            switch error {
            // DRM answers EINVAL for an object that it imported: only its own are mapped through the device.
            case .notSupported, .noFunction, .inappropriateIOCTLForDevice, .invalidArgument:
                throw DMABufError(
                    .unsupported,
                    "\(importer) cannot map dma-buf \(buffer.inode) of \(buffer.exporterName) for the CPU",
                    cause: error)
            case .permissionDenied where writable:
                throw DMABufError(
                    .refused, "dma-buf \(buffer.inode) was exported to read only", cause: error,
                    remedy: "attach it for .read")
            default:
                throw .system("map dma-buf \(buffer.inode) through \(importer)", error)
            }
        }
    }

    /// Detaches now rather than at the end of the scope.
    public consuming func detach() {}
}
