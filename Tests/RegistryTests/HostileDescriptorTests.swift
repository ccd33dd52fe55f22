// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@Suite("Hostile descriptors", .leavesNoDescriptor)
struct HostileDescriptorTests {
    /// What a client answers for: every request that brings descriptors, with one kind in every place.
    private func messages(_ client: inout HandClient) throws -> [Message] {
        let buffer = try client.register(kept: .owner)
        let attachment = try client.attach(buffer)
        try client.ask(.reserve(attachment, slots: 4))
        func terms(_ kind: FenceTerms.Kind) -> FenceTerms {
            FenceTerms(timeline: 1, point: 1, usage: .read, kind: kind, within: .seconds(1))
        }
        var messages: [Message] = FenceTerms.Kind.allCases.map { .request(.addFence(attachment, terms($0), lock: nil)) }
        messages.append(.request(.acknowledge(attachment, .first, ending: terms(.eventFD))))
        for kind in [MemoryKind.memfd, .dmaBuf] {
            let one = Memories(kind, .bytes(4096))
            let four = Memories(
                kind,
                .init(
                    sizes: [4096, 4096, 4096, 4096],
                    content: .image(
                        ImageLayout(
                            width: 1, height: 1, fourcc: PixelFormat.xrgb8888.fourcc, modifier: .linear,
                            planes: [.init(memory: 0, offset: 0, stride: 4)]))))
            messages.append(.register(NewBuffer(one, kept: .owner)))
            messages.append(.register(NewBuffer(four, kept: .owner)))
            messages.append(.commitMove(NewGeneration(of: buffer, from: .first, one, fence: terms(.eventFD))))
        }
        return messages
    }

    private static let messageCount = 10

    private func play(
        _ client: inout HandClient, _ message: Message, _ make: () throws -> Descriptor?
    ) throws -> Message? {
        var list = DescriptorList()
        for _ in 0..<message.descriptorCount {
            guard let descriptor = try make() else { return nil }
            list.append(descriptor)
        }
        return try client.ask(message, list)
    }

    @Test("what is neither memory nor a fence is refused, and the connection stands")
    func oddKinds() throws {
        let odd = try OddDescriptors()
        // A registry for each: nobody may send many of these.
        for index in 0..<Self.messageCount {
            let registry = try RunningRegistry()
            try registry.withCanary("odd descriptors, message \(index)") {
                var client = try HandClient(at: registry.socket)
                let message = try messages(&client)[index]
                for name in odd.names {
                    guard let last = try odd.make(name) else { continue }
                    var list = try Requests.descriptors(of: message, count: message.descriptorCount - 1)
                    list.append(last)
                    let answer = try client.ask(message, list)
                    guard case .refused(let refusal) = answer, refusal.reason == .wrongKind else {
                        Issue.record("\(name) in \(message): \(answer)")
                        continue
                    }
                }
                try client.ask(.list(from: 0))
            }
            #expect(try registry.stop().status == 0)
        }
        try odd.end()
    }

    @Test("one kind in place of another is refused")
    func wrongPlaces() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("descriptors in wrong places") {
            var client = try HandClient(at: registry.socket)
            for message in try messages(&client) {
                let wantsMemory: Bool
                switch message {
                case .register, .commitMove: wantsMemory = true
                default: wantsMemory = false
                }
                let answer = try play(&client, message) {
                    if wantsMemory { return try EventFD().intoDescriptor() }
                    var list = try HandClient.memory()
                    return list.takeFirst()
                }
                guard case .refused(let refusal)? = answer, refusal.reason == .wrongKind else {
                    Issue.record("\(message): \(String(describing: answer))")
                    continue
                }
            }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("memory that could change under its readers, or cannot be written, is refused")
    func oddMemory() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("odd memory") {
            var client = try HandClient(at: registry.socket)
            func register(_ byteCount: UInt64, seals: MemFD.Seals, reopened: Bool = false) throws -> Message {
                let file = try MemFD.create(named: "odd", byteCount: byteCount)
                if !seals.isEmpty { try MemFD.addSeals(file, seals) }
                var list = DescriptorList()
                if reopened {
                    list.append(try .open("/proc/self/fd/\(file.numberForDisplay)", .readOnly))
                } else {
                    list.append(try file.duplicate())
                }
                return try client.ask(.register(NewBuffer(HandClient.memories(), kept: .owner)), list)
            }
            func reason(_ answer: Message) -> OfferRefusal.Reason? {
                if case .refused(let refusal) = answer { refusal.reason } else { nil }
            }
            #expect(reason(try register(4096, seals: [])) == .unsealed)
            #expect(reason(try register(4096, seals: [.grow, .seal])) == .unsealed)
            #expect(reason(try register(4096, seals: [.shrink, .write])) == .wrongKind)
            #expect(reason(try register(4096, seals: [.shrink, .futureWrite])) == .wrongKind)
            #expect(reason(try register(4096, seals: [.shrink], reopened: true)) == .wrongKind)
            #expect(reason(try register(4095, seals: [.shrink])) == .description)
            #expect(reason(try register(0, seals: [.shrink])) != nil)
            // As large as a file can be: more than any quota.
            guard case .answer(.refused(.overQuota)) = try register(1 << 62, seals: [.shrink]) else {
                Issue.record("a memfd of 2^62 bytes")
                return
            }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("sizes that add up to more than there are numbers are over every quota")
    func overflow() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("sizes that overflow") {
            var client = try HandClient(at: registry.socket)
            let layout = ImageLayout(
                width: 1, height: 1, fourcc: PixelFormat.xrgb8888.fourcc, modifier: .linear,
                planes: [.init(memory: 0, offset: 0, stride: 4)])
            let memories = Memories(
                .memfd, BufferDescription(sizes: [4096, 4096, 4096, 4096], content: .image(layout)))
            var list = DescriptorList()
            for size: UInt64 in [1 << 62, 1 << 62, 1 << 62, 1 << 62 + 4096] {
                let file = try MemFD.create(named: "sparse", byteCount: size)
                try MemFD.addSeals(file, [.shrink])
                list.append(file)
            }
            guard case .answer(.refused(.overQuota)) = try client.ask(.register(NewBuffer(memories)), list) else {
                Issue.record("four memfds of 2^62 bytes")
                return
            }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("eventfds that count, are read by others, or are one and the same end as fences do")
    func eventfds() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("eventfds") {
            var client = try HandClient(at: registry.socket)
            let buffer = try client.register(kept: .owner)
            let attachment = try client.attach(buffer)
            try client.ask(.reserve(attachment, slots: 8))
            let event = try EventFD()
            for timeline in 0..<4 {
                var list = DescriptorList()
                list.append(try event.descriptor.duplicate())
                let terms = FenceTerms(
                    timeline: UInt32(timeline), point: 1, usage: .write, kind: .eventFD, within: .seconds(5))
                guard
                    case .answer(.fenceAdded) = try client.ask(
                        .request(.addFence(attachment, terms, lock: nil)), list)
                else { throw Errno.badMessage }
            }
            let wait = try client.send(.request(.wait(attachment, .write, within: .seconds(5))))
            // Up and down again at once: who has seen it keeps it.
            for _ in 0..<1000 {
                try event.signal()
                _ = event.drain()
            }
            try event.signal()
            guard case .answer(.waited(.ok)) = try client.answer(to: wait) else { throw Errno.badMessage }
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("a socket whose close waits for its peer holds up nobody", arguments: [1, 6])
    func lingering(count: Int) throws {
        let registry = try RunningRegistry()
        let odd = try OddDescriptors()
        try registry.withCanary("a socket that lingers, \(count) descriptors") {
            var client = try HandClient(at: registry.socket)
            // The last descriptor there is: whoever lets go of it waits.
            var list = DescriptorList()
            for _ in 1..<count { try list.appendDuplicate(of: EventFD().descriptor) }
            guard let socket = try odd.make("lingering") else { return }
            list.append(socket)
            try client.send(.register(NewBuffer(HandClient.memories())), list)
            list = DescriptorList()
            try answersSoon(registry.socket)
            // Unread, when the connection is ended for what came before it.
            var leaving = try HandClient(at: registry.socket)
            try leaving.send(.farewell(Farewell(.done, "")))
            guard let other = try odd.make("lingering") else { return }
            list.append(other)
            _ = try? leaving.send(.register(NewBuffer(HandClient.memories())), list)
            list = DescriptorList()
            try answersSoon(registry.socket)
        }
        try odd.end()
        #expect(try registry.stop().status == 0)
    }

    private func answersSoon(_ path: String) throws {
        let begin = Deadline.now()
        var other = try HandClient(at: path)
        try other.ask(.list(from: 0))
        let took = (Deadline.now().nanoseconds - begin.nanoseconds) / 1_000_000
        print("a lingering socket: another client is answered after \(took) ms")
        #expect(took < 2000, "somebody waits for a stranger's socket")
    }

    @Test(
        "a uid that floods the registry with files of no known kind is served no more, and others are",
        .requires("root"))
    func strangers() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let odd = try OddDescriptors()
        guard let epoll = try odd.make("epoll") else { throw Errno.noSuchFileOrDirectory }
        try odd.end()
        try registry.withCanary("a flood of epolls") {
            var puppet = try Puppet(at: registry.socket, user: 65533)
            var bystander = try Puppet(at: registry.socket, user: 65533)
            var count = 0
            var end: HandClient.End?
            while end == nil, count < 1000 {
                var list = DescriptorList()
                try list.appendDuplicate(of: epoll)
                do { _ = try puppet.client.ask(.register(NewBuffer(HandClient.memories())), list) } catch {
                    end = error as? HandClient.End
                }
                count += 1
            }
            print("a flood of epolls: cut off after \(count)")
            #expect(end == .farewell(.full) && count <= 64)
            #expect(bystander.client.end() == .farewell(.full))
            #expect(throws: (any Error).self) { _ = try Puppet(at: registry.socket, user: 65533) }
            var other = try Puppet(at: registry.socket, user: 65532)
            try other.client.ask(.list(from: 0))
            try other.kill()
            try puppet.kill()
            try bystander.kill()
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("they are counted in messages that do not arrive whole, too", .requires("root"))
    func strangersInPieces() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let odd = try OddDescriptors()
        guard let epoll = try odd.make("epoll") else { throw Errno.noSuchFileOrDirectory }
        try odd.end()
        var bystander = try Puppet(at: registry.socket, user: 65533)
        // One more than a message may bring: five arrive.
        var list = DescriptorList()
        for _ in 0..<6 { try list.appendDuplicate(of: epoll) }
        for count in stride(from: 5, through: 65, by: 5) {
            var puppet = try Puppet(at: registry.socket, user: 65533)
            try puppet.client.send(bytes: [1], list)
            #expect(puppet.client.end() == .farewell(count < 64 ? .descriptorsLost : .full), "\(count)")
            try puppet.kill()
        }
        #expect(bystander.client.end() == .farewell(.full))
        try bystander.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("a flood of descriptors that nobody knows holds up nobody")
    func flood() throws {
        let registry = try RunningRegistry()
        let odd = try OddDescriptors()
        guard let pipe = try odd.make("pipe") else { throw Errno.noSuchFileOrDirectory }
        try odd.end()
        try registry.withCanary("a flood of pipes") {
            var clients = 0
            let deadline = Deadline.after(.seconds(2))
            while !deadline.hasPassed {
                var client = try HandClient(at: registry.socket)
                clients += 1
                for _ in 0..<50 {
                    var list = DescriptorList()
                    for _ in 0..<4 { try list.appendDuplicate(of: pipe) }
                    let layout = ImageLayout(
                        width: 1, height: 1, fourcc: PixelFormat.xrgb8888.fourcc, modifier: .linear,
                        planes: [.init(memory: 0, offset: 0, stride: 4)])
                    let memories = Memories(
                        .memfd, BufferDescription(sizes: [4096, 4096, 4096, 4096], content: .image(layout)))
                    guard case .refused = try client.ask(.register(NewBuffer(memories)), list) else {
                        throw Errno.badMessage
                    }
                }
            }
            print("a flood of pipes: \(clients * 200) in 2 s")
        }
        #expect(try registry.stop().status == 0)
    }
}
