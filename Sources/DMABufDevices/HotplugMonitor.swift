// SPDX-License-Identifier: Apache-2.0

package import DMABufSystem
package import SystemPackage

/// Device events, one at a time, for a thread that may block. Programs with tasks want ``Hotplug``.
package struct HotplugMonitor: ~Copyable, Sendable {
    private let monitor: UdevMonitor

    /// Listens from now on. Needs no privilege and no udevd; one descriptor.
    package init() throws(Errno) {
        monitor = try UdevMonitor(subsystems: HotplugEvent.subsystems)
    }

    /// The next event; nil at `deadline`, or once `stop` is readable.
    package borrowing func next(
        until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(Errno) -> HotplugEvent? {
        while true {
            do throws(Errno) {
                guard let event = try monitor.next(until: deadline, unless: stop) else { return nil }
                let device = event.device
                let known = HotplugEvent(
                    action: event.action, subsystem: device.subsystem, name: device.name, path: device.node)
                if let known { return known }
            } catch {
                // The socket's buffer ran over while nobody read.
                guard error == .noBufferSpace else { throw error }
                try skipPending(unless: stop)
                return .overflow
            }
        }
    }

    /// Reads all that is queued. The kernel tells of an overrun before it hands out what was queued until then, and
    /// drops silently whatever comes before the queue is empty: only after that may anyone look at everything again.
    private borrowing func skipPending(unless stop: borrowing Descriptor) throws(Errno) {
        while true {
            do throws(Errno) {
                if try monitor.next(until: .now(), unless: stop) == nil { return }
            } catch {
                guard error == .noBufferSpace else { throw error }
            }
        }
    }
}
