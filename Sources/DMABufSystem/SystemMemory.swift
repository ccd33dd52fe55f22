// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The machine's memory.
public enum SystemMemory {
    /// Bytes of a page: 4096 on most machines, 16 or 64 KiB on some.
    ///
    /// The corresponding C function is `sysconf(_SC_PAGESIZE)`.
    public static let pageSize = UInt64(sysconf(CInt(_SC_PAGESIZE)))

    /// Bytes that can be had without swapping, or nil if `/proc` does not say.
    ///
    /// The corresponding line is `MemAvailable` of `/proc/meminfo`.
    public static var available: UInt64? {
        let line = Sysfs.text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        return kibibytes.map { $0 << 10 }
    }
}
