// SPDX-License-Identifier: Apache-2.0

package import DMABufSystem

extension DescriptorList {
    /// For a message that is sent before those who own these let go of them: they are passed as they are, and no duplicate
    /// is made.
    package init(lending memory: [DMABuffer]) {
        self.init(lent: ())
        for one in memory { lend(one.descriptor) }
    }

    package init(lending fence: Fence) {
        self.init(lent: ())
        lend(fence.descriptor)
    }
}
