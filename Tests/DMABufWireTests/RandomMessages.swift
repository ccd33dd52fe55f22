// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import TestSupport

/// Messages that a decoder must take, with every field anywhere in its range and often at its ends.
extension SplitMix64 {
    mutating func envelope() -> Envelope {
        let message = Bool.random(using: &self) ? message() : registryMessage()
        if case .notice = message { return Envelope(serial: 0, message) }
        return Envelope(serial: number(), message)
    }

    private mutating func message() -> Message {
        switch Int.random(in: 0..<8, using: &self) {
        case 0: .hello(Hello(features: .init(rawValue: number())))
        case 1:
            .farewell(Farewell(Farewell.Reason(rawValue: .random(in: 0...11, using: &self))!, text(Wire.reasonLimit)))
        case 2: .accepted
        case 3:
            .refused(
                OfferRefusal(OfferRefusal.Reason(rawValue: .random(in: 1...6, using: &self))!, text(Wire.reasonLimit)))
        default: .offer(offer())
        }
    }

    /// Any value, with the ends and the neighbours of powers of two more often than chance has them.
    mutating func number<Value: FixedWidthInteger>() -> Value {
        switch Int.random(in: 0..<5, using: &self) {
        case 0: [Value.min, Value.max].randomElement(using: &self)!
        case 1:
            (Value(1) << Value.random(in: 0..<Value(Value.bitWidth), using: &self)) &- .random(in: 0...1, using: &self)
        default: .random(in: .min ... .max, using: &self)
        }
    }

    private mutating func offer() -> Offer {
        Offer(
            description: description(), backing: Bool.random(using: &self) ? .dmaBuf : .memfd,
            access: Access(rawValue: .random(in: 1...3, using: &self)), name: text(Wire.nameLimit),
            checksum: Bool.random(using: &self) ? Checksum(value: number()) : nil,
            fences: list(0...Wire.fenceLimit) { generator in
                OfferedFence(
                    kind: OfferedFence.Kind(rawValue: .random(in: 1...3, using: &generator))!,
                    usage: Usage.allCases.randomElement(using: &generator)!, within: generator.number())
            })
    }

    mutating func description() -> BufferDescription {
        if Bool.random(using: &self) { return .bytes(number()) }
        let planes = list(0...ImageLayout.planeLimit) { generator in
            ImageLayout.Plane(
                memory: Int(generator.number() as UInt32), offset: generator.number(), stride: generator.number())
        }
        let layout = ImageLayout(
            width: number(), height: number(), fourcc: number(), modifier: Modifier(rawValue: number()), planes: planes)
        return BufferDescription(
            sizes: list(1...BufferDescription.sizeLimit) { $0.number() }, content: .image(layout))
    }

    mutating func list<Element>(
        _ counts: ClosedRange<Int>, _ make: (inout SplitMix64) -> Element
    ) -> [Element] {
        (0..<Int.random(in: counts, using: &self)).map { _ in make(&self) }
    }

    /// Up to `limit` bytes of clean UTF-8, one to four bytes each.
    mutating func text(_ limit: Int) -> String {
        let wanted = Int.random(in: 0...limit, using: &self)
        var text = String.UnicodeScalarView()
        var count = 0
        while count < wanted {
            let ranges: [ClosedRange<UInt32>] = [
                0x20...0x7e, 0xa0...0x61b, 0x61d...0x7ff, 0x800...0x200d, 0x2070...0xd7ff, 0xe000...0xffff,
                0x10000...0x10ffff,
            ]
            let value = UInt32.random(in: ranges.randomElement(using: &self)!, using: &self)
            let scalar = Unicode.Scalar(value)!
            let size = UTF8.width(scalar)
            if count + size > wanted { break }
            text.append(scalar)
            count += size
        }
        return String(text)
    }

    mutating func bytes(_ counts: ClosedRange<Int>) -> [UInt8] {
        (0..<Int.random(in: counts, using: &self)).map { _ in .random(in: .min ... .max, using: &self) }
    }
}
