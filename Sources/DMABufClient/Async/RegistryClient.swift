// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem
public import DMABufWire
import Synchronization
import SystemPackage

/// One client of the registry, for concurrent tasks: any number of requests may be under way, each with its deadline, and
/// what the registry says unasked comes as ``notices``.
///
/// A thread of its own reads; tasks send. Its end (or ``close()``) is this client's death: attachments end, locks are
/// released, moves are aborted. Everything that is still awaited then throws.
///
/// If the registry dies it goes on with the next one at the same socket, as ``RegistryConnection`` does, and for as long as
/// that one's patience: what was awaited is asked again where that does no harm, and else throws
/// ``RegistryError/restarted``.
public final class RegistryClient: Sendable {
    public let joined: Joined
    /// In order, each once. Who leaves thousands unread loses the connection, as with the registry itself. The end of the
    /// sequence is the end of the connection.
    public let notices: RegistryNotices

    let exchange: Exchange
    private let reader: WorkerThread

    /// Connects to the registry at `path`, checks that it is this user's or root's, and joins. Blocks until then.
    public convenience init(
        at path: String? = RegistryAddress.standard, until deadline: Deadline
    ) throws(RegistryError) {
        try self.init(RegistryConnection(withoutPagesAt: path, until: deadline))
    }

    /// Goes on with a connection; notices that it has kept come first. Accesses come as messages from here on. What the
    /// connection had control pages for stays idle to the registry: a move tells it only if it keeps old memory.
    public init(_ connection: consuming RegistryConnection) throws(RegistryError) {
        joined = connection.joined
        let (stream, continuation) = AsyncStream.makeStream(of: Notice.self, bufferingPolicy: .bufferingOldest(8192))
        for notice in connection.notices { continuation.yield(notice) }
        do throws(Errno) {
            let exchange = try Exchange(connection, continuation)
            reader = try WorkerThread(named: "registry") { exchange.read() }
            self.exchange = exchange
        } catch { throw .local(.system("start a reader", error)) }
        notices = RegistryNotices(stream: stream, exchange: exchange)
    }

    /// Ends the connection; what is awaited throws.
    public func close() { exchange.end() }

    deinit { exchange.end() }

    // MARK: Asking

    /// A request that brings no descriptor and is answered with none. A refusal is thrown.
    @discardableResult
    public func ask(_ request: Request, until deadline: Deadline) async throws(RegistryError) -> Answer {
        try Message.request(request).checkAskable()
        let reply = try await exchange.ask(.request(request), DescriptorList(), until: deadline)
        guard case .answer(let answer) = reply.message else { throw reply.unexpected }
        return answer
    }

    /// Registers a buffer. The caller keeps its own descriptors.
    public func register(
        _ buffer: DescribedBuffer, kept: Kept = .lastAttachment, name: String? = nil, until deadline: Deadline
    ) async throws(RegistryError) -> (BufferID, Generation) {
        let message = Message.register(NewBuffer(buffer.memories, kept: kept, name: name))
        let reply = try await exchange.ask(message, try buffer.duplicates(), until: deadline)
        guard case .answer(.registered(let id, let generation)) = reply.message else { throw reply.unexpected }
        return (id, generation)
    }

    /// Has the registry make a buffer and register it.
    public func allocate(
        _ request: BufferRequest, from exporter: String? = nil, kept: Kept = .lastAttachment, name: String? = nil,
        until deadline: Deadline
    ) async throws(RegistryError) -> (BufferID, Generation) {
        let message = Message.allocate(Allocation(request, exporter: exporter, kept: kept, name: name))
        let reply = try await exchange.ask(message, DescriptorList(), until: deadline)
        guard case .answer(.registered(let id, let generation)) = reply.message else { throw reply.unexpected }
        return (id, generation)
    }

    public func attach(_ buffer: BufferID, _ terms: AttachTerms, until deadline: Deadline) async throws(RegistryError)
        -> AttachedBuffer
    {
        try await exchange.grant(.attach(buffer, terms), until: deadline)
    }

    public func attach(
        _ name: String, of user: UInt32? = nil, _ terms: AttachTerms, until deadline: Deadline
    ) async throws(RegistryError) -> AttachedBuffer {
        try await exchange.grant(.attachNamed(name, uid: user, terms), until: deadline)
    }

    /// The present generation, after a move or a revocation that was taken back.
    public func map(_ attachment: AttachmentID, until deadline: Deadline) async throws(RegistryError) -> AttachedBuffer
    {
        try await exchange.grant(.map(attachment), until: deadline)
    }

    /// The mover's new memory takes the place of `generation`, once ``Notice/readyToCopy(_:_:_:until:)`` was told and the content
    /// is copied. Throws ``RegistryError/restarted`` where a restart comes between: what became of the move is told then.
    public func commitMove(
        of buffer: BufferID, from generation: Generation, to memory: DescribedBuffer, until deadline: Deadline
    ) async throws(RegistryError) {
        let message = Message.commitMove(NewGeneration(of: buffer, from: generation, memory.memories))
        exchange.underWay.withLock { $0.sending(message) }
        let reply = try await exchange.ask(message, try memory.duplicates(), until: deadline)
        guard case .answer(.done) = reply.message else { throw reply.unexpected }
    }

    /// Adds a fence in a slot that was reserved.
    public func add(
        _ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, lock: LockNumber? = nil,
        until deadline: Deadline
    ) async throws(RegistryError) -> FenceID {
        try await exchange.add(fence, to: attachment, terms, lock: lock, until: deadline)
    }
}

extension DescribedBuffer {
    fileprivate func duplicates() throws(RegistryError) -> DescriptorList {
        var list = DescriptorList()
        do throws(DMABufError) {
            for memory in memory { list.append(try memory.duplicateDescriptor()) }
        } catch { throw .local(error) }
        return list
    }
}

extension Fence {
    func duplicates() throws(RegistryError) -> DescriptorList {
        var list = DescriptorList()
        do throws(DMABufError) { list.append(try duplicateDescriptor()) } catch { throw .local(error) }
        return list
    }
}
