// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Effect {
    static let kinds = [
        "answer", "notify", "passDescriptor", "watchFence", "dropFence", "importFence", "startCopy", "cancelCopy",
        "verifyRelease", "release", "disconnect", "publish", "kill",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .answer: 0
        case .notify: 1
        case .passDescriptor: 2
        case .watchFence: 3
        case .dropFence: 4
        case .importFence: 5
        case .startCopy: 6
        case .cancelCopy: 7
        case .verifyRelease: 8
        case .release: 9
        case .disconnect: 10
        case .publish: 11
        case .kill: 12
        }
    }
}
