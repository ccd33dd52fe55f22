// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufSystem

/// A video node by its backend's name: "v4l2:video0", "v4l2:/dev/video0".
struct VideoNodeName: ExpressibleByArgument {
    let node: String

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "v4l2", !parts[1].isEmpty else { return nil }
        node = String(parts[1])
    }

    static var defaultCompletionKind: CompletionKind {
        .custom { _, _, _ in V4L2Node.names.map { "v4l2:\($0)" } }
    }
}
