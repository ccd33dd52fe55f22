// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// A peer that speaks by hand: what it sends waits in the socket, so both sides play in one thread.
private struct Stranger: ~Copyable {
    let socket: UnixSocket

    init(_ socket: consuming UnixSocket, greets: Bool = true) throws {
        self.socket = socket
        if greets { try send(Envelope(serial: 1, .hello(Hello())).encoded()) }
    }

    func send(_ bytes: [UInt8], _ descriptors: borrowing DescriptorList = DescriptorList()) throws {
        try socket.send(bytes, with: descriptors, until: .after(soon))
    }

    func hear() throws -> Message {
        var buffer = [UInt8](repeating: 0, count: Wire.messageLimit)
        let received = try socket.receive(into: &buffer, until: .after(soon))
        return try Envelope(
            decoding: buffer.span.extracting(first: received.byteCount), descriptorCount: received.descriptors.count
        ).message
    }
}

@Suite("A hostile peer", .leavesNoDescriptor)
struct HostilePeerTests {
    private static let offer = Offer(description: .bytes(4096), backing: .memfd, access: .read, name: "x")

    private func sealed(_ byteCount: UInt64 = 4096) throws -> Descriptor {
        let file = try MemFD.create(named: "x", byteCount: byteCount)
        try MemFD.addSeals(file, [.shrink, .grow])
        return file
    }

    /// Plays one message against a receiver. Returns the receiver's error and what the stranger heard after the hello.
    private func answer(
        to bytes: [UInt8], _ descriptors: borrowing DescriptorList
    ) throws -> (error: DMABufError?, heard: Message?) {
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first)
        try stranger.send(bytes, descriptors)
        var peer = try BufferPeer(pair.second, until: .after(soon))
        var caught: DMABufError?
        do throws(DMABufError) { _ = try peer.nextOffer(until: .after(soon)) } catch { caught = error }
        _ = try stranger.hear()
        return (caught, try? stranger.hear())
    }

    private func refusal(_ offer: Offer, _ descriptors: borrowing DescriptorList) throws -> OfferRefusal.Reason? {
        let (error, heard) = try answer(to: Envelope(serial: 9, .offer(offer)).encoded(), descriptors)
        guard case .refused(let refusal) = heard else { return nil }
        #expect(error != nil)
        return refusal.reason
    }

    private func farewell(to bytes: [UInt8], _ descriptors: borrowing DescriptorList) throws -> Farewell.Reason? {
        let (error, heard) = try answer(to: bytes, descriptors)
        guard case .farewell(let farewell) = heard else { return nil }
        #expect(error != nil)
        return farewell.reason
    }

    private func one(_ descriptor: consuming Descriptor) -> DescriptorList {
        var list = DescriptorList()
        list.append(descriptor)
        return list
    }

    @Test func aGoodOneIsAccepted() throws {
        let (error, heard) = try answer(to: Envelope(serial: 9, .offer(Self.offer)).encoded(), one(try sealed()))
        #expect(error == nil && heard == .accepted)
    }

    @Test func aLyingDescriptorCountEndsIt() throws {
        let bytes = Envelope(serial: 9, .offer(Self.offer)).encoded()
        #expect(try farewell(to: bytes, DescriptorList()) == .malformed)
        var two = one(try sealed())
        two.append(try sealed())
        #expect(try farewell(to: bytes, two) == .malformed)
        #expect(try farewell(to: Envelope(serial: 9, .accepted).encoded(), one(try sealed())) == .malformed)
        var lie = bytes
        lie[2] = 200
        #expect(try farewell(to: lie, one(try sealed())) == .malformed)
    }

    @Test func everyTruncationEndsIt() throws {
        let bytes = Envelope(serial: 9, .offer(Self.offer)).encoded()
        for length in 1..<bytes.count {
            #expect(try farewell(to: Array(bytes.prefix(length)), one(try sealed())) == .malformed)
        }
    }

    @Test func aMessageOfAnotherKindEndsIt() throws {
        #expect(try farewell(to: Envelope(serial: 9, .accepted).encoded(), DescriptorList()) == .unexpected)
        #expect(try farewell(to: Envelope(serial: 9, .hello(Hello())).encoded(), DescriptorList()) == .unexpected)
    }

    /// Plays one message against who offers, whose offers are numbered from 2. Returns its errors, of two offers one behind the
    /// other, and what the stranger heard after the first.
    private func offering(
        against bytes: [UInt8]?, _ descriptors: borrowing DescriptorList = DescriptorList()
    ) throws -> (errors: [DMABufError.Code], heard: Message?) {
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first)
        if let bytes { try stranger.send(bytes, descriptors) }
        var peer = try BufferPeer(pair.second, until: .after(soon))
        let buffer = try MemFDExporter().export(.bytes(4096))
        var errors: [DMABufError.Code] = []
        for _ in 0..<2 {
            do throws(DMABufError) {
                try peer.offer(buffer, for: .read, until: .after(bytes == nil ? .milliseconds(300) : soon))
            } catch { errors.append(error.code) }
        }
        _ = try stranger.hear()
        _ = try stranger.hear()
        return (errors, try? stranger.hear())
    }

    @Test func anAnswerThatIsNoneEndsIt() throws {
        func reason(_ message: Message?) -> Farewell.Reason? {
            guard case .farewell(let farewell) = message else { return nil }
            return farewell.reason
        }
        let accepted = Envelope(serial: 2, .accepted).encoded()
        let wrong: [([UInt8], Farewell.Reason)] = [
            (Envelope(serial: 9, .accepted).encoded(), .unexpected),
            (Envelope(serial: 2, .hello(Hello())).encoded(), .unexpected),
            (Envelope(serial: 2, .stats).encoded(), .unexpected),
            (Array(accepted.dropLast()), .malformed), (accepted + [0], .malformed), ([1, 2, 3], .malformed),
        ]
        for (bytes, why) in wrong {
            let (errors, heard) = try offering(against: bytes)
            #expect(errors.count == 2 && reason(heard) == why, "\(bytes): \(errors), \(String(describing: heard))")
        }
        let strange = try offering(against: accepted, one(try sealed()))
        #expect(strange.errors.count == 2 && reason(strange.heard) == .malformed)
        let silent = try offering(against: nil)
        #expect(silent.errors == [.deadline, .gone] && reason(silent.heard) == .deadline, "\(silent)")
    }

    @Test func whoSaysWhyItLeavesIsHeard() throws {
        let farewell = Envelope(serial: 5, .farewell(Farewell(.full, "no room"))).encoded()
        let (errors, heard) = try offering(against: farewell)
        // It is owed none in return; the second offer waits for an answer that nobody gives.
        #expect(errors.first == .gone && errors.count == 2, "\(errors)")
        if case .farewell(let farewell) = heard { #expect(farewell.reason == .deadline) }
    }

    @Test func aMessageThatIsTooLongEndsIt() throws {
        let long = [UInt8](repeating: 0, count: Wire.messageLimit + 1)
        #expect(try farewell(to: long, one(try sealed())) == .malformed)
    }

    @Test func descriptorsOfTheWrongKindAreRefused() throws {
        #expect(try refusal(Self.offer, one(try Descriptor.open("/etc/passwd", .readOnly))) == .wrongKind)
        #expect(try refusal(Self.offer, one(try Descriptor.open("/dev/zero", .readOnly))) == .wrongKind)
        #expect(try refusal(Self.offer, one(try EventFD().descriptor.duplicate())) == .wrongKind)
        #expect(try refusal(Self.offer, one(try UnixSocket.pair().first.descriptor.duplicate())) == .wrongKind)
        var claimed = Self.offer
        claimed.backing = .dmaBuf
        #expect(try refusal(claimed, one(try sealed())) == .wrongKind)
    }

    @Test func aMemfdThatMayShrinkIsRefused() throws {
        #expect(try refusal(Self.offer, one(try MemFD.create(named: "x", byteCount: 4096))) == .unsealed)
    }

    @Test func descriptionsThatDoNotFitAreRefused() throws {
        func image(_ width: UInt32, _ height: UInt32, _ fourcc: UInt32, _ plane: ImageLayout.Plane) -> Offer {
            let layout = ImageLayout(width: width, height: height, fourcc: fourcc, modifier: .linear, planes: [plane])
            return Offer(
                description: .init(sizes: [4096], content: .image(layout)), backing: .memfd, access: .read)
        }
        let xrgb = PixelFormat.xrgb8888.fourcc
        for offer in [
            Offer(description: .bytes(4097), backing: .memfd, access: .read),
            Offer(description: .bytes(0), backing: .memfd, access: .read),
            Offer(description: .bytes(.max), backing: .memfd, access: .read),
            image(32, 33, xrgb, .init(memory: 0, offset: 0, stride: 128)),
            image(32, 32, xrgb, .init(memory: 0, offset: 1, stride: 128)),
            image(32, 32, xrgb, .init(memory: 0, offset: .max, stride: 128)),
            image(32, 32, xrgb, .init(memory: 0, offset: 0, stride: 127)),
            image(.max, .max, xrgb, .init(memory: 0, offset: 0, stride: .max)),
            image(32, 32, xrgb, .init(memory: 1, offset: 0, stride: 128)),
            image(32, 32, 0x3f3f_3f3f, .init(memory: 0, offset: 0, stride: 128)),
            image(0, 32, xrgb, .init(memory: 0, offset: 0, stride: 128)),
        ] { #expect(try refusal(offer, one(try sealed())) == .description) }
    }

    @Test func aFenceThatIsNoneIsRefused() throws {
        var offer = Self.offer
        offer.fences = [.init(kind: .syncFile, usage: .write, within: 1)]
        var list = one(try sealed())
        list.append(try EventFD().descriptor.duplicate())
        #expect(try refusal(offer, list) == .wrongKind)
    }

    @Test func aPromiseIsHeldToTenSeconds() throws {
        var offer = Self.offer
        offer.fences = [.init(kind: .eventfd, usage: .write, within: .max)]
        var list = one(try sealed())
        list.append(try EventFD().descriptor.duplicate())
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first)
        try stranger.send(Envelope(serial: 9, .offer(offer)).encoded(), list)
        var peer = try BufferPeer(pair.second, until: .after(soon))
        let received = try peer.nextOffer(until: .after(soon))
        #expect(received.fences[0].deadline <= .after(ReceivedOffer.fenceLimit))
    }

    @Test func oneWhoDoesNotGreetIsNotFollowed() throws {
        for first: [UInt8] in [[0], [], Array("GET / HTTP/1.1\r\n\r\n".utf8), Envelope(serial: 1, .accepted).encoded()]
        where !first.isEmpty {
            let pair = try UnixSocket.pair()
            let stranger = try Stranger(pair.first, greets: false)
            try stranger.send(first, one(try sealed()))
            #expect(greeting(pair.second) != nil)
        }
    }

    @Test func anotherVersionIsSaid() throws {
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first, greets: false)
        // Another version may say anything behind its number.
        var hello = Envelope(serial: 1, .hello(Hello())).encoded() + [1, 2, 3]
        hello[4] += 3
        hello[20] = 2
        try stranger.send(hello)
        #expect(greeting(pair.second) != nil)
        _ = try stranger.hear()
        guard case .farewell(let farewell) = try stranger.hear() else { throw Errno.badMessage }
        #expect(farewell.reason == .version)
    }

    @Test func aFullTableHereLosesTheDescriptorsAndLeaksNone() throws {
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first)
        try stranger.send(Envelope(serial: 9, .offer(Self.offer)).encoded(), one(try sealed()))
        var peer = try BufferPeer(pair.second, until: .after(soon))
        try DescriptorTable.withRoom(for: 0) {
            #expect(throws: DMABufError.self) { _ = try peer.nextOffer(until: .after(soon)) }
        }
        _ = try stranger.hear()
        guard case .farewell(let farewell) = try stranger.hear() else { throw Errno.badMessage }
        #expect(farewell.reason == .descriptorsLost)
    }

    @Test func moreDescriptorsThanAnyMessageHasEndTheConnection() throws {
        var many = DescriptorList()
        for _ in 0...Wire.descriptorLimit { many.append(try sealed()) }
        let reason = try farewell(to: Envelope(serial: 9, .offer(Self.offer)).encoded(), many)
        #expect(reason == .descriptorsLost)
    }

    @Test func oneThatHasGoneIsAnError() throws {
        let pair = try UnixSocket.pair()
        let stranger = try Stranger(pair.first)
        stranger.socket.shutdown()
        #expect(greeting(pair.second)?.code == .gone)
    }

    /// The error that greeting ends with.
    private func greeting(_ socket: consuming UnixSocket) -> DMABufError? {
        do throws(DMABufError) {
            _ = try BufferPeer(socket, until: .after(soon)).peer
            return nil
        } catch { return error }
    }
}
