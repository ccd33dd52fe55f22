// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufConnection
public import DMABufModel
public import DMABufSystem
public import DMABufWire
import SystemPackage

/// One client of the registry, and its calling thread: each request is sent and its answer awaited here. What the
/// registry says unasked meanwhile is kept, in order, for ``nextNotice(until:)``. Who never takes it loses the connection:
/// here after ``noticeLimit``, and at the registry if it never asks for anything either.
///
/// Its end is this client's death: attachments end, locks are released, moves are aborted.
public struct RegistryConnection: ~Copyable {
    /// How many notices are kept.
    public static var noticeLimit: Int { 8192 }

    var connection: Connection
    var notices: [Notice] = []
    /// nil where the registry has none for this client: every access is begun and ended by message.
    var pages: ClientPages?
    var imports = ImportCache()
    var underWay = UnderWay()
    /// Whether the request under way has left.
    var wasSent = false
    /// Requests whose answers were not waited for to the end.
    var givenUp: [UInt64: Message] = [:]
    public private(set) var joined: Joined
    /// Where it was found, and what was asked of it; without a path there is nothing to come back to.
    let path: String?
    let features: Hello.Features
    /// How long the next registry is looked for when this one dies. Zero: its death is the end. One that is found has as long
    /// again to hear what is under way, and ten seconds to say who this client is, whatever the deadline of a request: who
    /// leaves in the middle is dead to it.
    public var patience: Duration = .seconds(5)
    /// How long the registry itself may take to answer, where a deadline is about the work of others: as that one passes,
    /// who was waited for is still worth hearing.
    public var answersWithin: Duration = .seconds(1)

    /// Connects to the registry at `path`, checks that it is this user's or root's, and joins.
    public init(at path: String? = RegistryAddress.standard, until deadline: Deadline) throws(RegistryError) {
        guard let path else { throw .noRegistry(path: nil, nil) }
        try self.init(Joining(path, [.registry, .pages], nil, until: deadline), path, [.registry, .pages])
    }

    /// As above, without control pages: every access is begun and ended by message, and the idle are told of every move.
    /// For those who wait for notices.
    public init(
        withoutPagesAt path: String?, until deadline: Deadline
    ) throws(RegistryError) {
        guard let path else { throw .noRegistry(path: nil, nil) }
        try self.init(Joining(path, .registry, nil, until: deadline), path, .registry)
    }

    /// Joins over a connected socket.
    public init(_ socket: consuming UnixSocket, until deadline: Deadline) throws(RegistryError) {
        try self.init(Joining(socket, [.registry, .pages], nil, until: deadline), nil, [.registry, .pages])
    }

    private init(
        _ joining: consuming Joining, _ path: String?, _ features: Hello.Features
    ) throws(RegistryError) {
        self.path = path
        self.features = features
        joined = joining.joined
        pages = try joining.takePages()
        connection = joining.intoConnection()
    }

    /// Goes on over another connection; what had words in the pages of the one before.
    mutating func take(_ next: consuming Joining, _ pages: consuming ClientPages?) -> [ClientPages.Under] {
        for left in connection.takeLeftBehind() {
            if case .notice(let notice) = left.message { keep(notice) }
        }
        let before = self.pages?.under ?? []
        joined = next.joined
        connection = next.intoConnection()
        self.pages = pages
        givenUp = [:]
        return before
    }

    /// The socket, for whoever goes on in another way.
    consuming func intoSocket() -> UnixSocket { connection.intoSocket() }

    // MARK: Asking

    /// A request that brings no descriptor and is answered with none.
    @discardableResult
    public mutating func ask(_ request: Request, until deadline: Deadline) throws(RegistryError) -> Answer {
        try ask(request, until: deadline, patient: deadline)
    }

    /// As above, where the deadline is about the work of others: the registry has ``answersWithin`` more for its answer.
    @discardableResult
    mutating func ask(_ request: Request, patient deadline: Deadline) throws(RegistryError) -> Answer {
        try ask(request, until: deadline.advanced(by: answersWithin), patient: deadline)
    }

    /// As above; a registry that waits for others to come back is not asked again, but says so.
    @discardableResult
    package mutating func askNow(_ request: Request, until deadline: Deadline) throws(RegistryError) -> Answer {
        try ask(request, until: deadline, patient: .now())
    }

    private mutating func ask(
        _ request: Request, until deadline: Deadline, patient: Deadline
    ) throws(RegistryError) -> Answer {
        try Message.request(request).checkAskable()
        let reply = try exchange(.request(request), DescriptorList(), until: deadline, patient: patient)
        guard case .answer(let answer) = reply.envelope.message else { throw unexpected(reply.envelope) }
        switch request {
        case .detach(let attachment): pages?.forget(attachment)
        case .acknowledgeRevoke(let attachment): pages?.lose(attachment)
        default: break
        }
        return answer
    }

    /// Registers a buffer. The caller keeps its own descriptors.
    public mutating func register(
        _ buffer: DescribedBuffer, kept: Kept = .lastAttachment, name: String? = nil, until deadline: Deadline
    ) throws(RegistryError) -> (BufferID, Generation) {
        let message = Message.register(NewBuffer(buffer.memories, kept: kept, name: name))
        let reply = try exchange(message, DescriptorList(lending: buffer.memory), until: deadline)
        guard case .answer(.registered(let id, let generation)) = reply.envelope.message else {
            throw unexpected(reply.envelope)
        }
        return (id, generation)
    }

    /// Has the registry make a buffer, with the exporter of that name or the best it has, and register it.
    public mutating func allocate(
        _ request: BufferRequest, from exporter: String? = nil, kept: Kept = .lastAttachment, name: String? = nil,
        until deadline: Deadline
    ) throws(RegistryError) -> (BufferID, Generation) {
        let message = Message.allocate(Allocation(request, exporter: exporter, kept: kept, name: name))
        let reply = try exchange(message, DescriptorList(), until: deadline)
        guard case .answer(.registered(let id, let generation)) = reply.envelope.message else {
            throw unexpected(reply.envelope)
        }
        return (id, generation)
    }

    /// Attaches: what comes back is checked as if a stranger had sent it.
    public mutating func attach(
        _ name: String, of user: UInt32? = nil, _ terms: AttachTerms, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        try granted(.attachNamed(name, uid: user, terms), for: terms.access, until: deadline)
    }

    public mutating func attach(
        _ buffer: BufferID, _ terms: AttachTerms, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        try granted(.attach(buffer, terms), for: terms.access, until: deadline)
    }

    /// The present generation, after a move or a revocation that was taken back.
    public mutating func map(_ attachment: AttachmentID, until deadline: Deadline) throws(RegistryError)
        -> AttachedBuffer
    {
        // What it was attached for is known already.
        try granted(.map(attachment), for: [], until: deadline)
    }

    public mutating func inspect(_ buffer: BufferID, token: TokenID? = nil, until deadline: Deadline)
        throws(RegistryError) -> InspectedBuffer
    {
        let reply = try exchange(.request(.inspect(buffer, token: token)), DescriptorList(), until: deadline)
        guard case .inspected(let inspected) = reply.envelope.message else { throw unexpected(reply.envelope) }
        return inspected
    }

    /// Adds a fence in a slot that was reserved.
    public mutating func add(
        _ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, lock: LockNumber? = nil,
        until deadline: Deadline
    ) throws(RegistryError) -> FenceID {
        let reply = try exchange(
            .request(.addFence(attachment, terms, lock: lock)), DescriptorList(lending: fence), until: deadline)
        guard case .answer(.fenceAdded(let id)) = reply.envelope.message else { throw unexpected(reply.envelope) }
        underWay.promises.add(fence, to: attachment, terms, id)
        return id
    }

    /// Says that an access has ended and the memory is unmapped; `fence` ends the work that is still under way.
    public mutating func acknowledge(
        _ attachment: AttachmentID, _ generation: Generation, ending fence: (Fence, FenceTerms)? = nil,
        until deadline: Deadline
    ) throws(RegistryError) {
        let message = Message.request(.acknowledge(attachment, generation, ending: fence?.1))
        let passed = fence.map { DescriptorList(lending: $0.0) } ?? DescriptorList()
        let reply = try exchange(message, passed, until: deadline)
        guard case .answer(.done) = reply.envelope.message else { throw unexpected(reply.envelope) }
        if let (fence, terms) = fence { underWay.promises.add(fence, to: attachment, terms, nil) }
    }

    /// The mover's new memory takes the place of `generation`.
    public mutating func commitMove(
        of buffer: BufferID, from generation: Generation, to memory: DescribedBuffer, until deadline: Deadline
    ) throws(RegistryError) {
        let message = Message.commitMove(NewGeneration(of: buffer, from: generation, memory.memories))
        do throws(RegistryError) {
            let reply = try exchange(message, DescriptorList(lending: memory.memory), until: deadline)
            guard case .answer(.done) = reply.envelope.message else { throw unexpected(reply.envelope) }
        } catch {
            guard case .restarted = error else { throw error }
            // By now it is known what became of the move; that of an earlier one may be unread.
            let isMoved = notices.contains {
                if case .moveEnded(buffer, .moved(generation.next, _)) = $0 { true } else { false }
            }
            guard isMoved else { throw .ruledOut(.notMoving) }
        }
    }
}

extension DescribedBuffer {
    var memories: Memories { Memories(kind == .dmaBuf ? .dmaBuf : .memfd, description) }
}
