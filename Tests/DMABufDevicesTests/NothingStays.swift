// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import Testing

/// Descriptors and threads are as many after `work` as before, soon.
func nothingStays(_ work: () async throws -> Void) async throws {
    let before = Folder.names("/proc/self/fd").count
    try await work()
    // A task's closure lets go of what it holds a moment after the task has answered.
    let deadline = Deadline.after(.seconds(5))
    while listeners > 0 || Folder.names("/proc/self/fd").count > before, !deadline.hasPassed {
        try nap(.milliseconds(1))
        await Task.yield()
    }
    #expect(listeners == 0)
    #expect(Folder.names("/proc/self/fd").count == before)
}

/// `Task.sleep` would do, but for the timer that the runtime opens for good.
func nap(_ duration: Duration) throws {
    _ = try Poll.wait(EventFD().descriptor, for: .readable, until: .after(duration))
}

/// The threads that listen.
private var listeners: Int {
    Folder.names("/proc/self/task").filter { Sysfs.text("/proc/self/task/\($0)/comm") == "dmabuf-hotplug" }.count
}
