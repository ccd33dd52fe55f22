// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport

/// A client that speaks by hand: it can say anything, in any order, and leave unread what it likes.
struct HandClient: ~Copyable {
    /// How the other side ended it.
    enum End: Error, Equatable {
        case farewell(Farewell.Reason)
        case closed
        case silence
    }

    private let socket: UnixSocket
    private var incoming = [UInt8](repeating: 0, count: Wire.messageLimit)
    private var serial: UInt64 = 0
    /// What came unasked, in order.
    var notices: [Notice] = []
    /// Answers that came before they were asked for.
    private var answers: [UInt64: Message] = [:]

    static let patience = Duration.seconds(10)

    init(over socket: consuming UnixSocket) { self.socket = socket }

    /// Connects, and says nothing.
    init(silentAt path: String) throws {
        self.init(over: try UnixSocket.connect(to: path, until: .after(Self.patience)))
    }

    /// Connects, says hello and joins.
    init(at path: String) throws {
        try self.init(joining: try UnixSocket.connect(to: path, until: .after(Self.patience)))
    }

    init(joining socket: consuming UnixSocket, within patience: Duration = Self.patience) throws {
        self.init(over: socket)
        try join(within: patience)
    }

    @discardableResult
    mutating func join(with secret: Secret? = nil, within patience: Duration = Self.patience) throws -> Joined {
        try send(.hello(Hello(features: .registry)))
        try send(.join(Join(secret: secret)))
        guard case .hello = try hear(within: patience).message else { throw Errno.badMessage }
        guard case .joined(let joined) = try hear(within: patience).message else { throw Errno.badMessage }
        return joined
    }

    /// Says hello, joins and asks in one go; the number of what was asked.
    mutating func sendJoin(and message: Message) throws -> UInt64 {
        try send(.hello(Hello(features: .registry)))
        try send(.join(Join()))
        let request = try send(message)
        guard case .hello = try hear().message else { throw Errno.badMessage }
        guard case .joined = try hear().message else { throw Errno.badMessage }
        return request
    }

    // MARK: Saying

    func send(bytes: [UInt8], _ descriptors: borrowing DescriptorList = DescriptorList()) throws(Errno) {
        try socket.send(bytes, with: descriptors, until: .after(Self.patience))
    }

    @discardableResult
    mutating func send(
        _ message: Message, _ descriptors: borrowing DescriptorList = DescriptorList()
    ) throws(Errno) -> UInt64 {
        serial += 1
        try send(bytes: Envelope(serial: serial, message).encoded(), descriptors)
        return serial
    }

    /// Sends without waiting for room; false where there was none.
    mutating func trySend(_ message: Message) throws(Errno) -> Bool {
        serial += 1
        return try socket.trySend(Envelope(serial: serial, message).encoded().span) == .sent
    }

    // MARK: Hearing

    /// The next message, and its descriptors' number; an ``End`` if there is none.
    mutating func hear(within patience: Duration = Self.patience) throws -> (message: Message, serial: UInt64) {
        for _ in 0..<3 {
            let received: Received
            do throws(ReceiveError) {
                received = try socket.receive(into: &incoming, until: .after(patience))
            } catch {
                switch error {
                // What was said last is behind it.
                case .system(.connectionReset): continue
                case .system(.timedOut): throw End.silence
                case .closed: throw End.closed
                default: throw error
                }
            }
            let envelope = try Envelope(
                decoding: incoming.span.extracting(first: received.byteCount),
                descriptorCount: received.descriptors.count)
            if case .farewell(let farewell) = envelope.message { throw End.farewell(farewell.reason) }
            return (envelope.message, envelope.serial)
        }
        throw End.closed
    }

    /// The answer to a request; notices that come before it are kept.
    mutating func answer(to request: UInt64) throws -> Message {
        while answers[request] == nil {
            let (message, serial) = try hear()
            if case .notice(let notice) = message { notices.append(notice) } else { answers[serial] = message }
        }
        return answers.removeValue(forKey: request)!
    }

    mutating func ask(_ message: Message, _ descriptors: borrowing DescriptorList = DescriptorList()) throws -> Message
    {
        try answer(to: try send(message, descriptors))
    }

    @discardableResult
    mutating func ask(_ request: Request) throws -> Answer {
        guard case .answer(let answer) = try ask(.request(request)) else { throw Errno.badMessage }
        return answer
    }

    /// The next notice.
    mutating func nextNotice() throws -> Notice {
        while notices.isEmpty {
            let (message, serial) = try hear()
            if case .notice(let notice) = message { notices.append(notice) } else { answers[serial] = message }
        }
        return notices.removeFirst()
    }

    /// All notices up to now: what was said before a question is heard before its answer.
    mutating func allNotices() throws -> [Notice] {
        try ask(.list(from: 0))
        defer { notices = [] }
        return notices
    }

    /// Reads until the other side ends it, and says how.
    mutating func end(within patience: Duration = Self.patience) -> End {
        while true {
            do { _ = try hear(within: patience) } catch { return error as? End ?? .closed }
        }
    }

    // MARK: Buffers

    /// A memfd that is sealed as a stand-in must be.
    static func memory(_ byteCount: UInt64 = 4096) throws -> DescriptorList {
        let file = try MemFD.create(named: "hostile", byteCount: byteCount)
        try MemFD.addSeals(file, [.shrink, .grow])
        var list = DescriptorList()
        list.append(file)
        return list
    }

    static func memories(_ byteCount: UInt64 = 4096) -> Memories { Memories(.memfd, .bytes(byteCount)) }

    mutating func register(
        kept: Kept = .lastAttachment, name: String? = nil, _ byteCount: UInt64 = 4096
    ) throws -> BufferID {
        let message = Message.register(NewBuffer(Self.memories(byteCount), kept: kept, name: name))
        guard case .answer(.registered(let id, _)) = try ask(message, try Self.memory(byteCount)) else {
            throw Errno.badMessage
        }
        return id
    }

    mutating func attach(_ id: BufferID, _ access: DMABufModel.Access = .readWrite) throws -> AttachmentID {
        try attach(id, AttachTerms(access))
    }

    mutating func attach(_ id: BufferID, _ terms: AttachTerms) throws -> AttachmentID {
        guard case .granted(let grant) = try ask(.request(.attach(id, terms))) else {
            throw Errno.badMessage
        }
        return grant.attachment
    }
}

/// A client in a process of its own, whose user and whose death are real.
struct Puppet: ~Copyable {
    var client: HandClient
    private let process: Running

    /// Joined already.
    init(at path: String, user: UInt32? = nil, groups: [UInt32] = []) throws {
        let pair = try UnixSocket.pair()
        var list = DescriptorList()
        list.append(pair.second.intoDescriptor())
        var arguments = ["python3", "-S", "-E", "\(Package.root)/Tests/Clients/relay.py", path]
        if let user { arguments.append("\(user)") }
        if !groups.isEmpty { arguments.append(groups.map(String.init).joined(separator: ",")) }
        let process = try Running(arguments, descriptors: list)
        // Its end of the pair is its own: with a copy here, its death would not be heard.
        list = DescriptorList()
        // Python takes its time to start under emulation.
        let client = try HandClient(joining: pair.first, within: .seconds(60))
        // Only now: a value that owns something is made whole or not at all.
        self.process = process
        self.client = client
    }

    func send(_ signal: SignalNumber) throws { try process.send(signal) }

    /// SIGKILL, and its end.
    consuming func kill() throws {
        try process.send(.kill)
        _ = try process.finish()
    }
}
