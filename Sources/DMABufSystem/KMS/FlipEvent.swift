// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
import Synchronization
public import SystemPackage

/// What a card's file says once a commit or a page flip is on the screen. The corresponding C type is
/// `struct drm_event_vblank`.
public struct FlipEvent: Equatable, Sendable {
    /// As it was given to the commit.
    public let token: UInt64
    /// When, on `CLOCK_MONOTONIC`.
    public let time: Deadline
    /// The number of the frame, as the screen counts them.
    public let sequence: UInt32
    public let crtc: UInt32
}

extension DRMNode {
    /// The last flip of a CRTC that is over and was not returned yet; nil at `deadline`. Those of others are kept for whoever
    /// asks. Where several threads ask, one may learn at its deadline what another has read.
    ///
    /// The corresponding C functions are `ppoll` and `read`.
    public func flip(of crtc: UInt32, until deadline: Deadline) throws(Errno) -> FlipEvent? {
        if let flip = flips.withLock({ $0.removeValue(forKey: crtc) }) { return flip }
        guard try !Poll.wait(descriptor, for: .readable, until: deadline).isEmpty else { return nil }
        return try flips.withLock { flips in
            Result { () throws(Errno) in
                for flip in try nextFlips() { flips[flip.crtc] = flip }
                return flips.removeValue(forKey: crtc)
            }
        }.get()
    }

    /// One thread's at a time.
    private func nextFlips() throws(Errno) -> [FlipEvent] {
        // Another may have read them meanwhile, and the file is one that waits for the next.
        guard try !Poll.wait(descriptor, for: .readable, until: .now()).isEmpty else { return [] }
        // Whole events come, as many as fit.
        var bytes = [UInt8](repeating: 0, count: 1024)
        let file = descriptor.number
        let count = try valueOrErrno {
            unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress!, $0.count) }
        }
        return FlipEvent.all(in: bytes.prefix(count))
    }
}

extension FlipEvent {
    /// Each event begins with its type and its size; other types are passed over.
    static func all(in bytes: ArraySlice<UInt8>) -> [FlipEvent] {
        var events: [FlipEvent] = []
        var rest = bytes
        while rest.count >= 8 {
            let size = Int(number(rest, 4))
            guard size >= 8, size <= rest.count else { break }
            if number(rest, 0) == UInt32(DRM_EVENT_FLIP_COMPLETE), size >= 32 { events.append(FlipEvent(rest)) }
            rest = rest.dropFirst(size)
        }
        return events
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        token = UInt64(Self.number(bytes, 8)) | UInt64(Self.number(bytes, 12)) << 32
        time = Deadline(
            nanoseconds: UInt64(Self.number(bytes, 16)) * 1_000_000_000 + UInt64(Self.number(bytes, 20)) * 1000)
        sequence = Self.number(bytes, 24)
        crtc = Self.number(bytes, 28)
    }

    private static func number(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt32 {
        let start = bytes.startIndex + offset
        return (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) }
    }
}
