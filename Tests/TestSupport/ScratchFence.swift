// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufSystem

/// A pending kernel fence, born on a scratch buffer of vgem's.
public final class ScratchFence {
    public let fence: Fence
    private var source: VGEMFence?

    public init() throws {
        let dumb = try VGEM.open().createDumbBuffer(width: 1024, height: 1, bitsPerPixel: 32)
        source = try VGEM.attachFence(to: dumb.gem, write: true)
        fence = try Fence(adopting: DMABufIoctl.exportSyncFile(dumb.gem.export(), waitingBefore: .read))
    }

    public func signal() throws {
        try source.take()?.signal()
    }
}
