// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// A stream has begun: what it is like.
struct StreamReport: Report {
    let event = "started"
    let name: String
    let device: String
    /// Numbers of the buffers, in the order of frames.
    let buffers: [String]
    let width: UInt32
    let height: UInt32
    let fourcc: String
    /// Bytes of one buffer.
    let size: UInt64
    let exporter: String
    private let does: String

    enum CodingKeys: CodingKey { case event, name, device, buffers, width, height, fourcc, size, exporter }

    /// `does`: "sharing", "playing".
    init(_ does: String, _ name: String, _ device: String, _ buffers: [BufferID], _ first: DescribedBuffer) {
        self.does = does
        self.name = name
        self.device = device
        self.buffers = buffers.map(\.hexadecimal)
        let image = first.description.image
        width = image?.width ?? 0
        height = image?.height ?? 0
        fourcc = PixelFormat.text(of: image?.fourcc ?? 0)
        size = first.description.byteCount
        exporter = first.memory[0].exporterName
    }

    var text: String {
        let way = does == "sharing" ? "from" : "into"
        return "\(does) \(name.quotedForDisplay), \(buffers.count) buffers of \(width)x\(height) \(fourcc), "
            + "\(humanBytes(size)) of \(exporter) each, \(way) \(device)\n"
    }
}

/// It has ended: what went by.
struct StreamEndReport: Report {
    let event = "ended"
    let frames: UInt64
    /// By the device's own count.
    let dropped: UInt64
    let damaged: UInt64
    let duration: UInt64
    private let did: String
    private let rate: String

    enum CodingKeys: String, CodingKey {
        case event, frames, dropped, damaged
        case duration = "duration_ns"
    }

    init(_ counter: FrameCounter) {
        did = counter.verb
        frames = counter.count
        dropped = counter.dropped
        damaged = counter.damaged
        duration = counter.duration.clampedNanoseconds
        rate = counter.rate
    }

    var text: String {
        let time = humanTime(.nanoseconds(Int64(clamping: duration)))
        return
            "\(did) \(frames) frames in \(time), \(rate) a second; the device dropped \(dropped), \(damaged) were damaged\n"
    }
}
