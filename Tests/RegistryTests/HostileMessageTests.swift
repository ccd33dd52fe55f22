// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// Every request once, about a buffer and an attachment that exist.
struct Requests {
    let buffer: BufferID
    let attachment: AttachmentID

    private static let token = TokenID(high: 0x1234, low: 0x5678)
    private static let fence = FenceTerms(
        timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .milliseconds(100))

    var all: [Message] {
        let (generation, soon) = (Generation.first, Interval.milliseconds(50))
        let requests: [Request] = [
            .inspect(buffer, token: nil), .list(from: 0), .name(buffer, "other"),
            .share(buffer, Share(.user(4711), [.attachRead])), .lookup("name", uid: nil),
            .makeToken(Self.token, buffer, TokenTerms([.attachRead], uses: 3, lasts: soon, parent: Self.token)),
            .withdrawToken(Self.token), .attach(buffer, AttachTerms(.read, lease: soon, token: Self.token)),
            .attachNamed("name", uid: nil, AttachTerms(.readWrite)), .map(attachment), .pin(attachment),
            .unpin(attachment), .renew(attachment, lease: soon), .beginAccess(attachment, generation, .read),
            .endAccess(attachment), .beginMove(buffer, generation, MoveTerms(within: soon)),
            .acknowledge(attachment, generation, ending: nil),
            .acknowledge(attachment, generation, ending: Self.fence), .refuseMove(attachment, generation),
            .abortMove(buffer, generation), .revoke(buffer, RevokeTerms(.attachment(attachment), within: soon)),
            .acknowledgeRevoke(attachment), .restore(attachment), .reserve(attachment, slots: 2),
            .addFence(attachment, Self.fence, lock: nil),
            .renewFence(attachment, timeline: 1, within: soon), .snapshot(attachment, .read),
            .wait(attachment, .read, within: soon), .lock([buffer], within: soon, lasting: soon),
            .unlock(LockNumber(7)), .detach(attachment), .withdraw(buffer),
        ]
        return [
            .join(Join()), .register(NewBuffer(HandClient.memories(), kept: .owner, name: "x")),
            .commitMove(NewGeneration(of: buffer, from: generation, HandClient.memories(), fence: Self.fence)),
        ] + requests.map { .request($0) }
    }

    /// So many of the right kind.
    static func descriptors(of message: Message, count: Int) throws -> DescriptorList {
        var list = DescriptorList()
        for _ in 0..<count {
            var one = try HandClient.memory()
            if let memory = one.takeFirst() { list.append(memory) }
        }
        return list
    }

    /// What comes with it, each descriptor of the right kind.
    static func descriptors(of message: Message) throws -> DescriptorList {
        switch message {
        case .register: return try HandClient.memory()
        case .commitMove:
            var list = try HandClient.memory()
            list.append(try EventFD().intoDescriptor())
            return list
        case .request where message.descriptorCount == 1:
            var list = DescriptorList()
            list.append(try EventFD().intoDescriptor())
            return list
        default: return DescriptorList()
        }
    }
}

/// Sends one thing after another, over one connection for as long as it is left open.
private struct Attacker: ~Copyable {
    private let path: String
    private var owner: HandClient
    private var buffer: BufferID
    private var client: HandClient?
    private var attachment = AttachmentID(1)
    private(set) var connections = 0
    private(set) var answered = 0

    init(at path: String) throws {
        var owner = try HandClient(at: path)
        buffer = try owner.register(kept: .owner, name: "victim")
        self.path = path
        self.owner = owner
    }

    /// Sends request `index` of a buffer and an attachment of this connection, changed by `spoil`, and then a question
    /// that must be answered, unless the connection was ended for it. Says how it ended.
    mutating func play(_ index: Int, _ spoil: (inout [UInt8]) -> Void) throws -> HandClient.End? {
        var client = try takeClient()
        let message = Requests(buffer: buffer, attachment: attachment).all[index]
        var bytes = Envelope(serial: 1 << 40, message).encoded()
        spoil(&bytes)
        do {
            try client.send(bytes: bytes, try Requests.descriptors(of: message))
            try client.ask(.list(from: 0))
        } catch {
            if let end = error as? HandClient.End { return end }
            // The end came before the question.
            guard error as? Errno == .brokenPipe else { throw error }
            return client.end()
        }
        client.notices = []
        answered += 1
        self.client = consume client
        return nil
    }

    /// Goes on with a buffer and a connection that nothing was done with.
    mutating func startAnew() throws {
        client = nil
        owner = try HandClient(at: path)
        let deadline = Deadline.after(HandClient.patience)
        while true {
            do {
                buffer = try owner.register(kept: .owner, name: "victim")
                return
            } catch {
                // The one before may not be gone yet.
                if deadline.hasPassed { throw error }
            }
        }
    }

    private mutating func takeClient() throws -> HandClient {
        if let client = client.take() { return client }
        connections += 1
        var client = try HandClient(silentAt: path)
        let attach = try client.sendJoin(and: .request(.attach(buffer, AttachTerms(.readWrite))))
        guard case .granted(let grant) = try client.answer(to: attach) else { throw Errno.badMessage }
        attachment = grant.attachment
        return client
    }
}

@Suite("Hostile messages", .leavesNoDescriptor)
struct HostileMessageTests {
    private static let count = Requests(buffer: BufferID(high: 0, low: 0), attachment: AttachmentID(1)).all.count

    @Test("every truncation of every request ends the connection, and nothing else")
    func truncations() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("truncations") {
            var attacker = try Attacker(at: registry.socket)
            for index in 0..<Self.count {
                var (length, size) = (1, 2)
                while length < size {
                    let end = try attacker.play(index) { bytes in
                        size = bytes.count
                        bytes.removeLast(size - length)
                    }
                    #expect(end == .farewell(.malformed), "request \(index), \(length) of \(size) bytes")
                    length += length < 24 || length > size - 8 ? 1 : 3
                }
            }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("every flipped bit of every request is refused, or is a request", arguments: 0..<4)
    func flips(part: Int) throws {
        let registry = try RunningRegistry()
        try registry.withCanary("flips \(part)") {
            var attacker = try Attacker(at: registry.socket)
            for index in 0..<Self.count where index % 4 == part {
                var (bit, count) = (0, 1)
                while bit < count {
                    _ = try attacker.play(index) { bytes in
                        count = bytes.count * 8
                        bytes[bit / 8] ^= 1 << (bit % 8)
                    }
                    // The last two take away what the others are about.
                    if index >= Self.count - 2 { try attacker.startAnew() }
                    // The serial is anyone's choice: of its bits a few do.
                    bit += (64..<128).contains(bit) ? 13 : 1
                }
            }
            print("flips \(part): \(attacker.answered) answered, \(attacker.connections) connections")
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("what has no place ends the connection")
    func outOfPlace() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("out of place") {
            var registration = Message.register(NewBuffer(HandClient.memories()))
            registration = .register(NewBuffer(HandClient.memories(), name: "early"))
            for early: Message in [.join(Join()), .request(.list(from: 0)), registration, .answer(.done)] {
                var client = try HandClient(silentAt: registry.socket)
                try client.send(early, try Requests.descriptors(of: early))
                #expect(client.end() == .farewell(.unexpected), "\(early) before hello")
            }
            for early: Message in [.hello(Hello(features: .registry)), .request(.list(from: 0)), registration] {
                var client = try HandClient(silentAt: registry.socket)
                try client.send(.hello(Hello(features: .registry)))
                try client.send(early, try Requests.descriptors(of: early))
                #expect(client.end() == .farewell(.unexpected), "\(early) before join")
            }
            let offer = Message.offer(Offer(description: .bytes(4096), backing: .memfd, access: .read))
            for late: Message in [
                .join(Join()), .hello(Hello(features: .registry)), .accepted, .answer(.done), offer,
                .answer(.registered(BufferID(high: 1, low: 1), .first)), .refused(OfferRefusal(.failed, "no")),
                .joined(Joined(client: ClientID(1), secret: Secret(high: 1, low: 1), run: 1)),
            ] {
                var client = try HandClient(at: registry.socket)
                let descriptors = late == offer ? try HandClient.memory() : DescriptorList()
                try client.send(late, descriptors)
                #expect(client.end() == .farewell(.unexpected), "\(late) after join")
            }
            var client = try HandClient(at: registry.socket)
            let notice = Message.notice(.lockEnded(LockNumber(1)))
            try client.send(bytes: Envelope(serial: 0, notice).encoded())
            #expect(client.end() == .farewell(.unexpected))
            var plain = try HandClient(silentAt: registry.socket)
            try plain.send(.hello(Hello()))
            #expect(plain.end() == .farewell(.unserved))
            var leaving = try HandClient(at: registry.socket)
            try leaving.send(.farewell(Farewell(.done, "")))
            #expect(leaving.end() == .closed)
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("a wrong number of descriptors ends the connection, and none of them stays")
    func descriptorCounts() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("descriptor counts") {
            for (message, count) in [
                (Message.request(.list(from: 0)), 1), (.request(.list(from: 0)), 6), (.request(.list(from: 0)), 253),
                (.register(NewBuffer(HandClient.memories())), 0), (.register(NewBuffer(HandClient.memories())), 2),
                (.register(NewBuffer(HandClient.memories())), 5), (.register(NewBuffer(HandClient.memories())), 6),
                (.register(NewBuffer(HandClient.memories())), 253),
            ] {
                var client = try HandClient(at: registry.socket)
                try client.send(message, try copies(count))
                let reason: Farewell.Reason = count > 5 ? .descriptorsLost : .malformed
                #expect(client.end() == .farewell(reason), "\(count) descriptors")
            }
            // Before it has said who it is.
            for count in [1, 6, 253] {
                var client = try HandClient(silentAt: registry.socket)
                try client.send(.hello(Hello(features: .registry)), try copies(count))
                #expect(client.end() == .farewell(count > 5 ? .descriptorsLost : .malformed))
            }
            // The kernel itself passes no more than 253.
            let client = try HandClient(at: registry.socket)
            let many = try copies(254)
            #expect(throws: Errno.invalidArgument) { try client.send(bytes: [1, 2, 3], many) }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("what the registry and its worker say to each other is unknown from a client")
    func workersMessages() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("worker's messages") {
            let made = Message.made(HandClient.memories())
            let order = Message.order(WorkOrder(.bytes(4096), exporter: nil))
            for message in [order, made] {
                var client = try HandClient(at: registry.socket)
                try client.send(message, try Requests.descriptors(of: message, count: message.descriptorCount))
                #expect(client.end() == .farewell(.malformed), "\(message)")
            }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("a datagram that is too long, or empty, ends the connection")
    func lengths() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("lengths") {
            for length in [Wire.messageLimit + 1, 2 * Wire.messageLimit, 65536, 200_000] {
                var client = try HandClient(at: registry.socket)
                try client.send(bytes: [UInt8](repeating: 0, count: length), try copies(1))
                #expect(client.end() == .farewell(.malformed), "\(length) bytes")
            }
            for length in [1, 15, 16, Wire.messageLimit] {
                var client = try HandClient(at: registry.socket)
                try client.send(bytes: [UInt8](repeating: 0xff, count: length))
                #expect(client.end() == .farewell(.malformed), "\(length) bytes")
            }
            for count in [0, 1, 5, 6, 253] {
                var client = try HandClient(at: registry.socket)
                try client.send(bytes: [], try copies(count))
                let end = client.end()
                #expect(end == .closed || end == .farewell(.descriptorsLost), "empty, \(count) descriptors: \(end)")
            }
        }
        #expect(try registry.stop().status == 0)
    }

    private func copies(_ count: Int) throws -> DescriptorList {
        let event = try EventFD()
        var list = DescriptorList()
        for _ in 0..<count { try list.appendDuplicate(of: event.descriptor) }
        return list
    }
}
