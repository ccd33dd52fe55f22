// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport

/// A client of another user with control pages, who keeps every byte that it is sent and looks at every word.
final class Eavesdropper {
    private static var limit: Deadline { .after(.seconds(20)) }

    private var relay: Relay?
    private let socket: UnixSocket
    private var incoming = [UInt8](repeating: 0, count: Wire.messageLimit)
    private var serial: UInt64 = 0
    /// Every message as it came.
    private(set) var heard: [[UInt8]] = []
    /// What every descriptor that came is.
    private(set) var files: [FileIdentity] = []
    private(set) var pages: Pages?
    private(set) var couldWritePublished = false
    private var notices: [Notice] = []
    private var published: HeldPage?
    private var own: HeldPage?
    private var ownToWrite: WritablePage?

    init(at path: String, user: UInt32) throws {
        var relay = try Relay(to: path, as: user)
        let near = relay.takeSocket()
        socket = near
        self.relay = consume relay
    }

    func join() throws {
        try send(.hello(Hello(features: [.registry, .pages])))
        try send(.join(Join()))
        while pages == nil {
            guard case .joined(let joined) = try hear().message else { continue }
            pages = joined.pages
        }
    }

    private func send(_ message: Message, _ memory: borrowing DescriptorList = DescriptorList()) throws {
        serial += 1
        try socket.send(Envelope(serial: serial, message).encoded(), with: memory, until: Self.limit)
    }

    private func hear() throws -> (message: Message, serial: UInt64) {
        var received = try socket.receive(into: &incoming, until: Self.limit)
        heard.append(Array(incoming[..<received.byteCount]))
        let envelope = try Envelope(
            decoding: incoming.span.extracting(first: received.byteCount), descriptorCount: received.descriptors.count)
        if case .joined(let joined) = envelope.message, let pages = joined.pages,
            let first = received.descriptors.takeFirst(), let second = received.descriptors.takeFirst()
        {
            let (shown, counts) = (Int(pages.publishedByteCount), Int(pages.ownByteCount))
            published = HeldPage(try ReadOnlyPage(mapping: first, byteCount: shown))
            own = HeldPage(try ReadOnlyPage(mapping: second, byteCount: counts, sealed: ReadOnlyPage.ofPeer))
            couldWritePublished = (try? WritablePage(mapping: first, byteCount: shown)) != nil
            ownToWrite = try WritablePage(mapping: second, byteCount: counts)
            files += [try first.identity(), try second.identity()]
        }
        while let next = received.descriptors.takeFirst() { files.append(try next.identity()) }
        if case .notice(let notice) = envelope.message { notices.append(notice) }
        return (envelope.message, envelope.serial)
    }

    /// Its answer, whatever is told before.
    @discardableResult
    func ask(_ message: Message, _ memory: borrowing DescriptorList = DescriptorList()) throws -> Message {
        try send(message, memory)
        while true {
            let (message, serial) = try hear()
            if serial == self.serial { return message }
        }
    }

    func forgetWhatWasHeard() { heard = [] }

    /// Whether `bytes` came, wherever.
    func hasHeard(_ bytes: [UInt8]) -> Bool {
        heard.contains { message in
            message.indices.dropLast(bytes.count - 1).contains { message[$0...].starts(with: bytes) }
        }
    }

    /// All words of the published page.
    var publishedWords: [UInt64] {
        stride(from: 0, to: Int(pages?.publishedByteCount ?? 0), by: 8).compactMap {
            published?.page.words.loadAcquire64(at: $0)
        }
    }
    /// And of its own.
    var ownWords: [UInt64] {
        stride(from: 0, to: Int(pages?.ownByteCount ?? 0), by: 8).compactMap { own?.page.words.loadAcquire64(at: $0) }
    }

    /// Begins an access that never ends.
    func count(in word: GrantedWord) { ownToWrite?.addSequential(UInt64(1), at: Int(word.word) * 8) }

    func register(_ name: String) throws -> BufferID {
        let message = Message.register(NewBuffer(HandClient.memories(), kept: .owner, name: name))
        guard case .answer(.registered(let id, _)) = try ask(message, try HandClient.memory()) else {
            throw Errno.badMessage
        }
        return id
    }

    func attach(_ id: BufferID) throws -> Grant {
        guard case .granted(let grant) = try ask(.request(.attach(id, AttachTerms(.readWrite)))) else {
            throw Errno.badMessage
        }
        return grant
    }

    /// Asks all that could say something of others.
    func look(for name: String, of user: UInt32) throws {
        try ask(.request(.list(from: 0)))
        try ask(.stats)
        try ask(.request(.lookup(name, uid: user)))
        try ask(.request(.attachNamed(name, uid: user, AttachTerms(.read))))
    }

    /// Begins a move that waits for holders no longer than it must.
    func move(_ id: BufferID) throws -> Message {
        try ask(.request(.beginMove(id, .first, MoveTerms(within: .milliseconds(20)))))
    }

    /// Waits until it is told what `isMeant`; an error if that does not come.
    func hear(_ isMeant: (Notice) -> Bool) throws -> Bool {
        while !notices.contains(where: isMeant) { _ = try hear() }
        return true
    }

    func kill() throws { try relay.take()?.kill() }
}
