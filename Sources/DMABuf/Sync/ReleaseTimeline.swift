// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem

/// The timeline by which users of one buffer say when they are done with it. Each use gets its point when its fence is put
/// there, so no two have the same and none goes back: one timeline for each buffer, by construction.
public struct ReleaseTimeline: ~Copyable, Sendable {
    public let buffer: DMABuffer
    /// Only ``release(after:)`` adds to it.
    private let timeline: Timeline
    /// The point of the last use; 0 before the first.
    public private(set) var last: UInt64 = 0

    public init(of buffer: DMABuffer, on device: TimelineDevice) throws(DMABufError) {
        self.buffer = buffer
        timeline = try Timeline(on: device)
    }

    /// A use is over when `fence` signals: at the point that is returned. Throws `unsupported` for what is no sync_file.
    public mutating func release(after fence: Fence) throws(DMABufError) -> UInt64 {
        try timeline.add(fence, at: last + 1)
        last += 1
        return last
    }

    /// For whoever waits for points of it. The caller owns it.
    public borrowing func duplicateDescriptor() throws(DMABufError) -> Descriptor {
        try timeline.duplicateDescriptor()
    }

    /// Whether every use is over.
    public borrowing func isFree() throws(DMABufError) -> Bool { try timeline.signalledPoint() >= last }

    /// Waits until every use is over. Throws `deadline`, naming whose is not.
    public borrowing func waitUntilFree(until deadline: Deadline) throws(DMABufError) {
        if last > 0 { try timeline.wait(for: last, until: deadline) }
    }
}
