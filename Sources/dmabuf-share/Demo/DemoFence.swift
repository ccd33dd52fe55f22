// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// A fence that the producer holds in its hand: the kernel's own where vgem is there, else an eventfd.
enum DemoFence: ~Copyable {
    case vgem(VGEMFence, fence: Fence)
    case eventfd(EventFD, fence: Fence)

    /// Makes a pending fence and adds it to the buffer as a writer's, as far as the kernel can.
    static func pending(on buffer: DMABuffer) throws(DMABufError) -> DemoFence {
        do throws(Errno) {
            if buffer.kind == .dmaBuf, let node = try? VGEM.open() {
                // The fence is born on a scratch buffer of vgem's and carried over: so it works for every exporter.
                let scratch = try node.createDumbBuffer(width: 1024, height: 1, bitsPerPixel: 32)
                let source = try VGEM.attachFence(to: scratch.gem, write: true)
                let syncFile = try DMABufIoctl.exportSyncFile(scratch.gem.export(), waitingBefore: .read)
                return .vgem(source, fence: try adding(syncFile, to: buffer))
            }
            let event = try EventFD()
            let fence = try identified(event.descriptor.duplicate())
            return .eventfd(event, fence: fence)
        } catch { throw .system("make a fence", error) }
    }

    private static func adding(_ syncFile: consuming Descriptor, to buffer: DMABuffer) throws(Errno) -> Fence {
        let fence = try identified(syncFile)
        do throws(DMABufError) { try buffer.add(fence, as: .write) } catch { throw error.cause ?? .invalidArgument }
        return fence
    }

    private static func identified(_ descriptor: consuming Descriptor) throws(Errno) -> Fence {
        do throws(DMABufError) { return try Fence(adopting: descriptor) } catch {
            throw error.cause ?? .invalidArgument
        }
    }

    var fence: Fence {
        switch self {
        case .vgem(_, let fence): fence
        case .eventfd(_, let fence): fence
        }
    }

    consuming func signal() throws(DMABufError) {
        do throws(Errno) {
            switch consume self {
            case .vgem(let source, _): try source.signal()
            case .eventfd(let event, _): try event.signal()
            }
        } catch { throw .system("signal the fence", error) }
    }
}
