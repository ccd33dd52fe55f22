// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A fence for work that this process ends by saying so: an eventfd, and what others see of it. Dropped, it stays pending.
public final class EventFence: Sendable {
    private let event: EventFD
    public let fence: Fence

    public init() throws(DMABufError) {
        let copy: Descriptor
        do throws(Errno) {
            event = try EventFD()
            copy = try event.descriptor.duplicate()
        } catch { throw .system("make an eventfd", error) }
        fence = try Fence(adopting: copy)
    }

    /// The work is done.
    ///
    /// The corresponding C function is `eventfd_write`.
    public func signal() throws(DMABufError) {
        do throws(Errno) { try event.signal() } catch { throw .system("signal an eventfd", error) }
    }
}
