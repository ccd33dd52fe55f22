// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Who is attached, as far as the asker may know.
struct HolderReport: Encodable {
    let attachment: UInt64
    let client: UInt64?

    init(_ holder: Holder) {
        attachment = holder.attachment.rawValue
        client = holder.client?.rawValue
    }
}
