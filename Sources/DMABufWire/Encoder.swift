// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Envelope {
    /// The bytes of the message. `bytes` is emptied first; its space is used again.
    ///
    /// Traps on a message that no decoder would take, such as a name that is too long: callers check those first.
    public func encode(into bytes: inout [UInt8]) {
        // Moved out and back, so that its space is ours alone and is not copied.
        var writer = ByteWriter(reusing: exchangeForEmpty(&bytes))
        writer.write(message.opcode.rawValue)
        writer.write(UInt16(message.descriptorCount))
        writer.write(UInt32(0))  // size, below
        writer.write(serial)
        switch message {
        case .hello(let hello): writer.write(hello)
        case .farewell(let farewell): writer.write(code: farewell.reason.rawValue, text: farewell.text)
        case .offer(let offer): writer.write(offer)
        case .accepted: break
        case .refused(let refusal): writer.write(code: refusal.reason.rawValue, text: refusal.text)
        }
        precondition(writer.bytes.count <= Wire.messageLimit, "a message of \(writer.bytes.count) bytes")
        writer.patch(size: UInt32(writer.bytes.count), at: 4)
        bytes = writer.bytes
    }

    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }
}

extension ByteWriter {
    fileprivate mutating func write(_ hello: Hello) {
        write(Wire.magic)
        write(Wire.version)
        write(UInt16(0))  // reserved
        write(hello.features.rawValue)
    }

    fileprivate mutating func write(code: UInt32, text: String) {
        precondition(text.utf8.count <= Wire.reasonLimit, "a reason of \(text.utf8.count) bytes")
        write(code)
        write(UInt16(text.utf8.count))
        write(UInt16(0))  // reserved
        write(text: text)
    }

    fileprivate mutating func write(_ offer: Offer) {
        let image = offer.description.image
        let memoryCount = offer.description.sizes.count
        precondition((1...BufferDescription.sizeLimit).contains(memoryCount), "\(memoryCount) dma-bufs")
        precondition(image != nil || memoryCount == 1, "plain bytes on \(memoryCount) dma-bufs")
        precondition((image?.planes.count ?? 0) <= ImageLayout.planeLimit, "more planes than an image has")
        precondition(offer.access.isValid, "an offer for no access")
        precondition(offer.name.utf8.count <= Wire.nameLimit, "a name of \(offer.name.utf8.count) bytes")
        precondition(offer.fences.count <= Wire.fenceLimit, "\(offer.fences.count) fences")
        write(UInt8(image == nil ? 1 : 2))
        write(offer.backing.rawValue)
        write(offer.access.rawValue)
        write(UInt8(offer.checksum == nil ? 0 : 1))
        write(UInt8(offer.description.sizes.count))
        write(UInt8(image?.planes.count ?? 0))
        write(UInt8(offer.fences.count))
        write(UInt8(offer.name.utf8.count))
        write(image?.width ?? 0)
        write(image?.height ?? 0)
        write(image?.fourcc ?? 0)
        write(UInt32(0))  // reserved
        write(image?.modifier.rawValue ?? 0)
        write(offer.checksum?.value ?? 0)
        for size in offer.description.sizes { write(size) }
        for plane in image?.planes ?? [] {
            write(UInt32(plane.memory))
            write(plane.stride)
            write(plane.offset)
        }
        for fence in offer.fences {
            write(fence.kind.rawValue)
            write(fence.usage.rawValue)
            write(UInt16(0))  // reserved
            write(UInt32(0))  // reserved
            write(fence.within)
        }
        write(text: offer.name)
    }
}
