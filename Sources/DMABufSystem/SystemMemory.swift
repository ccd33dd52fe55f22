// SPDX-License-Identifier: Apache-2.0

/// The machine's memory.
public enum SystemMemory {
    /// Bytes that can be had without swapping, or nil if `/proc` does not say.
    ///
    /// The corresponding line is `MemAvailable` of `/proc/meminfo`.
    public static var available: UInt64? {
        let line = Sysfs.text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        return kibibytes.map { $0 << 10 }
    }
}
