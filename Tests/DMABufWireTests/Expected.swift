// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire

/// What each well-formed fixture says.
enum Expected {
    static let envelopes = passing.merging(ExpectedRegistry.envelopes) { first, _ in first }

    private static let passing: [String: Envelope] = [
        "hello": Envelope(serial: 1, .hello(Hello())),
        "hello-features": Envelope(serial: 1, .hello(Hello(features: .init(rawValue: 0x8000_0000_0000_0005)))),
        "farewell": Envelope(serial: 3, .farewell(Farewell(.malformed, "fence kind 4: no such kind"))),
        "farewell-done": Envelope(serial: 3, .farewell(Farewell(.done, ""))),
        "offer-bytes": Envelope(serial: 2, .offer(bytes)),
        "offer-image-xr24": Envelope(serial: 2, .offer(xr24)),
        "offer-image-nv12": Envelope(serial: 3, .offer(nv12)),
        "offer-image-tiled": Envelope(serial: 0x0102_0304_0506_0708, .offer(tiled)),
        "accepted": Envelope(serial: 2, .accepted),
        "refused": Envelope(
            serial: 2, .refused(OfferRefusal(.description, "plane 0 ends at byte 12288 and its memory at 8192"))),
    ]

    private static let bytes = Offer(
        description: .bytes(4096), backing: .memfd, access: .readWrite, name: "frame",
        checksum: Pattern.checksum(byteCount: 4096))

    private static let xr24 = Offer(
        description: BufferDescription(
            sizes: [12288],
            content: .image(
                ImageLayout(
                    width: 64, height: 48, fourcc: 0x3432_5258, modifier: .linear,
                    planes: [.init(memory: 0, offset: 0, stride: 256)]))),
        backing: .dmaBuf, access: .readWrite)

    private static let nv12 = Offer(
        description: BufferDescription(
            sizes: [2_076_672, 1_040_384],
            content: .image(
                ImageLayout(
                    width: 1920, height: 1080, fourcc: 0x3231_564e, modifier: .linear,
                    planes: [.init(memory: 0, offset: 0, stride: 1920), .init(memory: 1, offset: 0, stride: 1920)]))),
        backing: .dmaBuf, access: .read, name: "camera 0", checksum: Checksum(value: 0x0123_4567_89ab_cdef),
        fences: [
            OfferedFence(kind: .syncFile, usage: .write, within: 2_000_000_000),
            OfferedFence(kind: .eventfd, usage: .read, within: 500_000_000),
        ])

    private static let tiled = Offer(
        description: BufferDescription(
            sizes: [262_144],
            content: .image(
                ImageLayout(
                    width: 256, height: 256, fourcc: 0x3432_5241, modifier: Modifier(rawValue: 0x0100_0000_0000_0002),
                    planes: [.init(memory: 0, offset: 0, stride: 1024)]))),
        backing: .dmaBuf, access: .write, name: "küche",
        fences: [OfferedFence(kind: .pidfd, usage: .kernel, within: 10_000_000_000)])
}
