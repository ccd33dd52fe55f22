// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem

/// How many frames have gone by, for a person watching: a line on standard error that is written over, and only where that
/// is a terminal.
struct FrameCounter {
    private static let pause: Duration = .milliseconds(500)

    /// "captured", "played".
    let verb: String
    private let begun = Deadline.now()
    private var next: Deadline?
    private var isShown = false
    private(set) var count: UInt64 = 0
    /// By the device's own count.
    private(set) var dropped: UInt64 = 0
    private(set) var damaged: UInt64 = 0
    private var lastSequence: UInt32?

    init(_ verb: String) {
        self.verb = verb
        next = StandardStream.error.isTerminal ? .after(Self.pause) : nil
    }

    var duration: Duration { .nanoseconds(Int64(clamping: Deadline.now().nanoseconds - begun.nanoseconds)) }

    mutating func add(_ frames: UInt64 = 1) {
        count += frames
        guard let next, next.hasPassed else { return }
        self.next = .after(Self.pause)
        show("\(verb) \(count) frames, \(rate) a second")
        isShown = true
    }

    /// What the device says of a frame that it is done with.
    mutating func note(_ frame: VideoFrame) {
        // Some drivers count nothing, and none goes back.
        let step = frame.sequence &- (lastSequence ?? frame.sequence)
        if step > 0, step < 1 << 31 { dropped += UInt64(step - 1) }
        lastSequence = frame.sequence
        if frame.isDamaged { damaged += 1 }
    }

    /// With one digit behind the point.
    var rate: String {
        let tenths = UInt64(Double(count) * 10_000_000_000 / Double(max(duration.clampedNanoseconds, 1)))
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// Nothing of it stays.
    func end() {
        if isShown { show("") }
    }

    private func show(_ text: String) {
        try? StandardStream.error.write("\r\u{1b}[K\(text)")
    }
}
