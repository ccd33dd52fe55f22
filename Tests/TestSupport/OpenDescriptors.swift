// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// The descriptors that a process has open, number and link; none of a process that has ended.
///
/// Left out is what libdispatch opens for a moment, whatever the program does: the stat files of its own worker
/// threads, of which it counts the busy ones about once a second.
public func openDescriptors(of process: Int32? = nil) -> [String] {
    let folder = "/proc/\(process.map { String($0) } ?? "self")/fd"
    return Folder.names(folder).sorted().compactMap { name in
        guard let link = try? Sysfs.link("\(folder)/\(name)") else { return nil }
        let target = String(decoding: link, as: UTF8.self)
        return target.hasPrefix("/proc/") && target.hasSuffix("/stat") ? nil : "\(name) -> \(target)"
    }
}
