// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
public import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

/// Where a registry's vault is, and how one is started.
public struct VaultPlace: Sendable {
    /// Where it listens.
    public var path: String
    /// What it is started as: it finds a socket at descriptor 3, and runs ``Vault/run(_:)``.
    public var command: [CommandWord]

    public init(path: String, command: [CommandWord]) {
        self.path = path
        self.command = command
    }

    /// Beside a registry's socket.
    public static func beside(_ socket: String) -> String { socket + ".vault" }
}

/// What a vault has handed over.
struct Heritage {
    var memory: [GenerationKey: Inherited] = [:]
    var journal: [UInt8] = []

    final class Inherited {
        var descriptors: DescriptorList
        init(_ descriptors: consuming DescriptorList) { self.descriptors = descriptors }
    }
}

/// The registry's connection to its vault, and the journal, which it writes itself.
///
/// Rule: *what has been sent is kept.* The socket's queue is the vault's, and outlives whoever has sent; so nothing waits for
/// an answer. Only where the queue is full is room awaited, for a bounded time.
final class VaultLink {
    /// How long the loop waits for a vault that does not read; then it goes on without.
    private static let patience: Duration = .milliseconds(500)
    private static let startPatience: Duration = .seconds(10)
    /// How much longer for one that was there before, and lives: it has what nobody else has.
    private static let foundPatience: Duration = .seconds(60)
    /// A journal is written anew when it is full: it has this much room, and four times what it begins with.
    private static let smallestJournal = 256 << 10
    static let journalLimit = 1 << 30

    let socket: UnixSocket
    private let process: Process
    private var journal: AppendedFile?
    /// Whether it has a journal, and so all memory that the journal speaks of.
    private(set) var isWhole = false
    private(set) var held: Set<GenerationKey> = []
    private var outgoing = [UInt8](repeating: 0, count: VaultMessage.byteCount)

    private enum Process: ~Copyable {
        case started(ChildProcess)
        case found(PidFD)

        var isFound: Bool {
            switch self {
            case .started: false
            case .found: true
            }
        }
    }

    private init(_ socket: consuming UnixSocket, _ process: consuming Process) {
        self.socket = socket
        self.process = process
    }

    // MARK: Beginning

    /// The vault that is there, with all that it holds; else a new one, with what one that died meanwhile had handed over.
    static func open(_ place: VaultPlace, log: Logger) throws(Errno) -> (VaultLink, Heritage) {
        var deadline = Deadline.after(startPatience)
        var heritage = Heritage()
        while true {
            let link: VaultLink
            if let found = try existing(place) { link = found } else { link = try started(place) }
            if try link.adopt(into: &heritage, until: &deadline, log) { return (link, heritage) }
            // Another registry has it, or had it a moment ago; or it has died.
            link.socket.shutdown()
            if deadline.hasPassed { throw .resourceBusy }
            Clock.sleep(.milliseconds(10))
        }
    }

    /// Another one in the place of one that is lost. It says when it is ``Word/ready``: before that, nobody could find it.
    static func startAnew(_ place: VaultPlace) throws(Errno) -> VaultLink {
        let link = try started(place)
        guard try link.send(.adopt) else {
            link.giveUp()
            throw .brokenPipe
        }
        return link
    }

    private static func existing(_ place: VaultPlace) throws(Errno) -> VaultLink? {
        guard FileType(at: place.path) == .socket else { return nil }
        do throws(Errno) {
            let socket = try UnixSocket.connect(to: place.path, until: .after(patience))
            // Whoever it is would get all memory.
            let peer = try PeerIdentity(of: socket)
            guard peer.user == OwnProcess.userID else { throw Errno.notPermitted }
            return VaultLink(socket, .found(try PidFD(duplicating: peer.pidfd)))
        } catch {
            if error == .connectionRefused || error == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    private static func started(_ place: VaultPlace) throws(Errno) -> VaultLink {
        let pair = try UnixSocket.pair()
        var passed = DescriptorList()
        passed.append(try pair.second.descriptor.duplicate())
        let child = try ChildProcess(
            place.command, environment: OwnProcess.environment, descriptors: passed, detached: true)
        return VaultLink(pair.first, .started(child))
    }

    /// False where another registry has it, or where it dies; what it holds, otherwise.
    private func adopt(
        into heritage: inout Heritage, until deadline: inout Deadline, _ log: Logger
    ) throws(Errno) -> Bool {
        guard try send(.adopt) else { return false }
        do throws(Errno) { return try takeOver(into: &heritage, until: deadline) } catch {
            guard error == .timedOut, process.isFound else { throw error }
            log.warning(
                "the vault that holds what was registered does not answer: it is waited for",
                metadata: ["seconds": "\(Self.foundPatience.components.seconds)"])
            let isTaken = try takeOver(into: &heritage, until: .after(Self.foundPatience))
            // If it has died meanwhile, another one has as long to start as ever.
            deadline = .after(Self.startPatience)
            return isTaken
        }
    }

    private func takeOver(into heritage: inout Heritage, until deadline: Deadline) throws(Errno) -> Bool {
        var incoming = [UInt8](repeating: 0, count: VaultMessage.byteCount)
        while true {
            do throws(ReceiveError) {
                var received = try socket.receive(into: &incoming, until: deadline)
                guard
                    let message = try? VaultMessage(
                        decoding: incoming.span.extracting(first: received.byteCount),
                        descriptorCount: received.descriptors.count)
                else { throw .system(.badMessage) }
                switch message {
                case .complete: return true
                case .busy: return false
                case .memory(let buffer, let generation, _):
                    let key = GenerationKey(buffer: buffer, generation: generation)
                    heritage.memory[key] = Heritage.Inherited(received.descriptors)
                    held.insert(key)
                case .journal: if let file = received.descriptors.takeFirst() { heritage.journal = try Self.read(file) }
                default: throw .system(.badMessage)
                }
            } catch {
                switch error {
                case .closed, .system(.connectionReset): return false
                case .system(let error): throw error
                default: throw .badMessage
                }
            }
        }
    }

    private static func read(_ file: consuming Descriptor) throws(ReceiveError) -> [UInt8] {
        do throws(Errno) {
            let count = try file.status().byteCount
            return try file.read(first: Int(min(count, UInt64(journalLimit))))
        } catch { throw .system(error) }
    }

    // MARK: Writing

    /// From now on this is the journal.
    func begin(journal bytes: Span<UInt8>) throws(Errno) {
        let capacity = max(Self.smallestJournal, (4 * bytes.count + 7) & ~7)
        var next = try AppendedFile(named: "dmabuf-share journal", capacity: capacity)
        _ = next.append(bytes)
        guard try send(.journal, next.file) else { throw .brokenPipe }
        journal = consume next
        isWhole = true
    }

    /// False where the journal is full, and has to be written anew.
    func append(_ bytes: Span<UInt8>) -> Bool { journal?.append(bytes) ?? false }

    func keep(_ key: GenerationKey, _ entry: MemoryTable.Entry) throws(Errno) {
        if try tryKeep(key, entry) { return }
        guard try send(Self.message(key, entry), try entry.duplicates()) else { throw .brokenPipe }
        held.insert(key)
    }

    /// As above, and never waits. False where there is no room yet.
    func tryKeep(_ key: GenerationKey, _ entry: MemoryTable.Entry) throws(Errno) -> Bool {
        let outcome = try encoding(Self.message(key, entry)) { (bytes) throws(Errno) in
            // Most buffers are one memory, whose descriptor is passed as it is.
            guard entry.memory.count == 1 else { return try socket.trySend(bytes, with: entry.duplicates()) }
            return try socket.trySend(bytes, with: entry.memory[0].descriptor)
        }
        guard outcome == .sent else { return false }
        held.insert(key)
        return true
    }

    func drop(_ key: GenerationKey) throws(Errno) {
        guard held.remove(key) != nil else { return }
        let message = VaultMessage.drop(key.buffer, key.generation)
        let outcome = try encoding(message) { (bytes) throws(Errno) in try socket.trySend(bytes) }
        if outcome == .sent { return }
        guard try send(message) else { throw .brokenPipe }
    }

    /// Nothing is left that anybody would come for.
    func end() { _ = try? send(.end) }

    private static func message(_ key: GenerationKey, _ entry: MemoryTable.Entry) -> VaultMessage {
        .memory(key.buffer, key.generation, count: entry.memory.count)
    }

    /// In space that is used again.
    private func encoding(
        _ message: VaultMessage, _ send: (Span<UInt8>) throws(Errno) -> UnixSocket.SendOutcome
    ) throws(Errno) -> UnixSocket.SendOutcome {
        var bytes: [UInt8] = []
        swap(&bytes, &outgoing)
        defer { swap(&bytes, &outgoing) }
        message.encode(into: &bytes)
        return try send(bytes.span)
    }

    private func send(_ message: VaultMessage, _ file: borrowing Descriptor) throws(Errno) -> Bool {
        var list = DescriptorList()
        try list.appendDuplicate(of: file)
        return try send(message, list)
    }

    /// False where it is gone.
    private func send(
        _ message: VaultMessage, _ descriptors: borrowing DescriptorList = DescriptorList()
    ) throws(Errno) -> Bool {
        let bytes = message.encoded
        let deadline = Deadline.after(Self.patience)
        while true {
            do throws(Errno) {
                try socket.send(bytes, with: descriptors, until: deadline)
                return true
            } catch {
                switch error {
                case .brokenPipe, .connectionReset: return false
                case .tooManyReferences where !deadline.hasPassed: Clock.sleep(.milliseconds(1))
                default: throw error
                }
            }
        }
    }

    // MARK: Hearing

    /// What the vault has to say: that it is there, that both are to stop, or, by its end, that it is lost.
    enum Word { case ready, leave, yield, lost, nothing }

    func hear() -> Word {
        var incoming = [UInt8](repeating: 0, count: VaultMessage.byteCount)
        do throws(ReceiveError) {
            guard let received = try socket.tryReceive(into: &incoming) else { return .nothing }
            let message = try? VaultMessage(
                decoding: incoming.span.extracting(first: received.byteCount),
                descriptorCount: received.descriptors.count)
            switch message {
            case .leave: return .leave
            case .yield: return .yield
            case .complete: return .ready
            default: return .lost
            }
        } catch { return .lost }
    }

    /// It is not ours any more, and waits for the next one.
    func leave() { socket.shutdown() }

    /// It is lost, and killed: what it holds is not what is so from here on, and nobody is to find it.
    func giveUp() {
        socket.shutdown()
        switch process {
        case .started(let child):
            try? child.send(.kill)
            _ = try? child.wait(until: .after(.milliseconds(200)))
        case .found(let process): try? process.send(SignalNumber.kill.rawValue)
        }
    }
}
