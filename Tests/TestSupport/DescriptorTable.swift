// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A process whose table of open files is nearly full, for the length of a closure.
public enum DescriptorTable {
    /// Lowers the soft limit so that just `room` more descriptors can be opened.
    public static func withRoom(for room: Int, _ body: () throws -> Void) throws {
        let before = try ResourceLimit.openFiles()
        var filler: DescriptorList = .init()
        // Numbers below the limit must all be taken: fill the gaps first.
        let highest = Folder.names("/proc/self/fd").compactMap { Int($0) }.max() ?? 3
        let probe = try EventFD()
        var number = 0
        while number <= highest {
            let copy = try probe.descriptor.duplicate()
            number = copy.numberForDisplay
            filler.append(copy)
        }
        try ResourceLimit.setOpenFiles(soft: UInt64(number + 1 + room))
        defer { try? ResourceLimit.setOpenFiles(soft: before.soft) }
        try body()
        _ = filler.count
    }
}
