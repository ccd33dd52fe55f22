// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
public import SystemPackage

/// Devices that come and go, as an `AsyncSequence`:
///
///     let hotplug = try Hotplug()
///     var devices = DeviceList.discover()  // after the line above, so that nothing falls between the two
///     for try await event in hotplug {
///         if event == .overflow { devices = .discover() } else { … }
///     }
///
/// From the kernel's own netlink group, which needs no udevd and no privilege. Events are kept from the moment this is
/// made, `capacity` of them at most; see ``HotplugEvent/overflow``. Ends when the task that iterates is cancelled, for
/// all who iterate: the events are shared between them, not copied. Holds two descriptors and one thread, all gone when
/// the last reference is, which waits for the thread (microseconds).
///
/// The corresponding C function is `udev_monitor_new_from_netlink`.
public final class Hotplug: AsyncSequence, Sendable {
    private let listener: HotplugListener
    private let thread: WorkerThread

    /// Throws what the kernel says to a new netlink socket or thread: `tooManyOpenFiles`, for one.
    public init(capacity: Int = 64) throws(Errno) {
        let listener = try HotplugListener(capacity: capacity)
        thread = try WorkerThread(named: "dmabuf-hotplug") { listener.run() }
        self.listener = listener
    }

    /// The thread is told to stop before its value, which waits for it, ends.
    deinit { listener.stop() }

    public func makeAsyncIterator() -> Iterator { Iterator(hotplug: self) }

    public struct Iterator: AsyncIteratorProtocol {
        private let hotplug: Hotplug

        fileprivate init(hotplug: Hotplug) {
            self.hotplug = hotplug
        }

        /// The next event; nil after the end. Throws once if listening failed.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(Errno) -> HotplugEvent? {
            try await hotplug.next().get()
        }

        /// As ``next(isolation:)``.
        public mutating func next() async throws(Errno) -> HotplugEvent? {
            try await hotplug.next().get()
        }
    }

    private func next() async -> HotplugQueue.Answer {
        let listener = listener
        return await withTaskCancellationHandler {
            await listener.queue.next()
        } onCancel: {
            listener.stop()
        }
    }
}

/// What the thread and the sequence share; its descriptors are closed when both have let go of it.
private final class HotplugListener: Sendable {
    let queue: HotplugQueue
    private let monitor: HotplugMonitor
    private let stopping: EventFD

    init(capacity: Int) throws(Errno) {
        queue = HotplugQueue(capacity: capacity)
        monitor = try HotplugMonitor()
        stopping = try EventFD()
    }

    /// The thread's body: until it is told to stop, or listening fails.
    func run() {
        do throws(Errno) {
            let never = Deadline(nanoseconds: .max)
            while let event = try monitor.next(until: never, unless: stopping.descriptor) { queue.offer(event) }
            queue.end()
        } catch {
            queue.end(error)
        }
    }

    func stop() {
        queue.cancel()
        // It fails only with the counter at its limit, and then the thread is awake anyway.
        try? stopping.signal()
    }
}
