// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

extension Machine {
    /// How many dma-bufs there are, whoever has them; zero for those who may not look.
    ///
    /// From `/sys/kernel/debug/dma_buf/bufinfo`.
    public static var dmaBufCount: Int {
        (Sysfs.text("/sys/kernel/debug/dma_buf/bufinfo") ?? "").split(separator: "\n")
            .count { $0.contains("Attached Devices") }
    }
}
