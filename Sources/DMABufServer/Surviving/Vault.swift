// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem
import DMABufWire
public import SystemPackage

/// A process that outlives the registry's: it holds duplicates of all memory and the journal, and gives them to whoever
/// serves next. It maps nothing, calls nothing on what it holds but `close`, and reads no journal.
///
/// It serves one registry at a time, which is its own user's or root's. What a registry has sent before its death is in the
/// socket's queue and is taken as ever. It ends when told to, some time after its last registry, or when the file of its
/// socket is gone, for then nobody can find it any more.
public struct Vault: ~Copyable {
    /// How long it waits for the next registry.
    public static let patience: Duration = .seconds(60)
    /// Those who have connected and are not (or no longer) the registry.
    private static let callerLimit = 8
    private static let callerPatience: Duration = .seconds(5)
    /// Nobody waits for its answer. So between two looks at what a registry has said it sleeps, and is not woken for each word
    /// of one that goes on; what comes meanwhile is in its queue.
    private static let nap: Duration = .milliseconds(1)
    /// More than a queue holds: then others have their turn.
    private static let heardAtOnce = 512

    private let listener: UnixListener
    private let poller: Poller
    private let patience: Duration
    private var lastNumber: UInt64 = 0
    private var registry: Caller?
    private var callers: [Caller] = []
    private var held: [GenerationKey: Held] = [:]
    private var journal: Held?
    private var incoming = [UInt8](repeating: 0, count: VaultMessage.byteCount)
    /// When it ends, if nobody comes.
    private var end: Deadline
    private var isStopping = false
    private var isOver = false

    /// Descriptors, in a place that can be shared.
    private final class Held {
        let descriptors: DescriptorList
        init(_ descriptors: consuming DescriptorList) { self.descriptors = descriptors }
    }

    private final class Caller {
        let number: UInt64
        let socket: UnixSocket
        /// Its process's end is its end, whoever has duplicates of its socket.
        let process: PidFD
        let end: Deadline
        var wantsStop = false
        var wantsPlace = false

        init(_ number: UInt64, _ socket: consuming UnixSocket, _ process: consuming PidFD) {
            self.number = number
            self.socket = socket
            self.process = process
            end = .after(Vault.callerPatience)
        }
    }

    /// Listens at `path`. `addressInUse` if another vault does.
    public init(at path: String, patience: Duration = Vault.patience) throws(Errno) {
        let listener = try UnixListener(claiming: path, until: .after(.seconds(5)))
        let poller = try Poller()
        try poller.add(listener.descriptor, token: 0)
        self.listener = listener
        self.poller = poller
        self.patience = patience
        end = .after(patience)
    }

    /// Serves until its time is over; `first` is the connection that it was started with.
    public mutating func run(_ first: consuming UnixSocket) throws(Errno) {
        admit(first)
        while !isOver {
            let token = try poller.next(until: nextLook)
            if let token { serve(token) }
            for caller in callers where caller.end.hasPassed && !caller.wantsStop && !caller.wantsPlace { drop(caller) }
            // Who has just come may be the next registry, and all memory is here.
            if registry == nil, isStopping || end.hasPassed && callers.isEmpty || !listener.isInPlace { isOver = true }
        }
    }

    /// Without a registry it looks each second whether its file is still there.
    private var nextLook: Deadline {
        let second = Deadline.after(.seconds(1))
        if registry != nil, callers.isEmpty { return Deadline(nanoseconds: .max) }
        return registry == nil && callers.isEmpty ? min(second, end) : second
    }

    private mutating func serve(_ token: UInt64) {
        if token == 0 { return acceptOne() }
        if let registry, registry.number == token { return hearAll(registry) }
        if let caller = callers.first(where: { $0.number == token }) { hear(caller) }
    }

    private mutating func acceptOne() {
        // Whatever it is that cannot be accepted is not waited for.
        do throws(Errno) {
            guard let socket = try listener.tryAccept() else { return }
            admit(socket)
        } catch { Clock.sleep(.milliseconds(10)) }
    }

    private mutating func admit(_ socket: consuming UnixSocket) {
        guard callers.count < Self.callerLimit, let identity = try? PeerIdentity(of: socket) else { return }
        guard OwnProcess.trusts(identity.user) else { return }
        lastNumber += 1
        guard let process = try? PidFD(duplicating: identity.pidfd) else { return }
        let caller = Caller(lastNumber, socket, process)
        guard (try? poller.add(caller.socket.descriptor, token: caller.number)) != nil,
            (try? poller.add(caller.process.descriptor, token: caller.number)) != nil
        else { return }
        callers.append(caller)
    }

    // MARK: Hearing

    /// All that a registry has said.
    private mutating func hearAll(_ caller: Caller) {
        for _ in 0..<Self.heardAtOnce where caller === registry && !isOver {
            guard hear(caller) else { return Clock.sleep(Self.nap) }
        }
    }

    /// One message of a caller's, or its end. False where nothing is there.
    @discardableResult
    private mutating func hear(_ caller: Caller) -> Bool {
        if caller === registry { Failpoint.reach(.before, .vault) }
        do throws(ReceiveError) {
            guard
                var received = try caller.socket.tryReceive(
                    into: &incoming, descriptorsAtMost: BufferDescription.sizeLimit)
            else {
                // Nothing more is there, and its process is no more.
                if (try? caller.process.hasEnded) != false { drop(caller) }
                return false
            }
            let message = try? VaultMessage(
                decoding: incoming.span.extracting(first: received.byteCount),
                descriptorCount: received.descriptors.count)
            if let message { take(message, &received.descriptors, from: caller) } else { drop(caller) }
        } catch { drop(caller) }
        return true
    }

    private mutating func take(_ message: VaultMessage, _ descriptors: inout DescriptorList, from caller: Caller) {
        if caller === registry { return hold(message, &descriptors, from: caller) }
        switch message {
        case .adopt: adopt(caller)
        case .stop:
            caller.wantsStop = true
            isStopping = true
            if let registry, !say(.leave, to: registry) { drop(registry) }
        case .replace:
            caller.wantsPlace = true
            if let registry { if !say(.yield, to: registry) { drop(registry) } } else { tellGone() }
        default: drop(caller)
        }
    }

    /// Those who want the registry's place.
    private mutating func tellGone() {
        for caller in callers where caller.wantsPlace {
            _ = say(.complete, to: caller)
            drop(caller)
        }
    }

    private mutating func hold(_ message: VaultMessage, _ descriptors: inout DescriptorList, from caller: Caller) {
        var taken = DescriptorList()
        while let descriptor = descriptors.takeFirst() { taken.append(descriptor) }
        Failpoint.reach(.during, .vault)
        switch message {
        case .memory(let buffer, let generation, _):
            held[GenerationKey(buffer: buffer, generation: generation)] = Held(taken)
        case .drop(let buffer, let generation): held[GenerationKey(buffer: buffer, generation: generation)] = nil
        case .journal: journal = Held(taken)
        case .end: isOver = true
        default: drop(caller)
        }
        Failpoint.reach(.after, .vault)
    }

    private mutating func drop(_ caller: Caller) {
        try? poller.remove(caller.socket.descriptor)
        try? poller.remove(caller.process.descriptor)
        callers.removeAll { $0 === caller }
        guard caller === registry else { return }
        registry = nil
        end = .after(patience)
        tellGone()
    }

    // MARK: Telling

    /// The next registry. The one before may just have died, and what it said is heard first.
    private mutating func adopt(_ caller: Caller) {
        Failpoint.reach(.before, .restore)
        while let registry, (try? registry.process.hasEnded) != false { hear(registry) }
        guard registry == nil, !isStopping else {
            _ = say(.busy, to: caller)
            return drop(caller)
        }
        guard tellAll(caller) else { return drop(caller) }
        callers.removeAll { $0 === caller }
        registry = caller
        Failpoint.reach(.after, .restore)
    }

    private func tellAll(_ caller: Caller) -> Bool {
        let deadline = Deadline.after(.seconds(20))
        if let journal, !say(.journal, journal, to: caller, until: deadline) { return false }
        Failpoint.reach(.during, .restore)
        for (key, memory) in held {
            let message = VaultMessage.memory(key.buffer, key.generation, count: memory.descriptors.count)
            if !say(message, memory, to: caller, until: deadline) { return false }
        }
        return say(.complete, to: caller, until: deadline)
    }

    private func say(
        _ message: VaultMessage, _ passed: Held? = nil, to caller: Caller, until deadline: Deadline = .now()
    ) -> Bool {
        let none = DescriptorList()
        while true {
            do throws(Errno) {
                if let passed {
                    try caller.socket.send(message.encoded, with: passed.descriptors, until: deadline)
                } else {
                    try caller.socket.send(message.encoded, with: none, until: deadline)
                }
                return true
            } catch {
                // Other processes of this user have many descriptors in flight.
                guard error == .tooManyReferences, !deadline.hasPassed else { return false }
                Clock.sleep(.milliseconds(2))
            }
        }
    }
}

extension Vault {
    /// Has the registry stop, and then its vault; returns once both have ended.
    ///
    /// `connectionRefused` and `noSuchFileOrDirectory` where there is no vault, `notPermitted` where it is another user's,
    /// but for root.
    public static func stop(at path: String, until deadline: Deadline) throws(Errno) {
        try ask(.stop, at: path, until: deadline)
    }

    /// Has the registry make room, without its end being told to anybody; returns once it has gone. Errors as above.
    public static func replace(at path: String, until deadline: Deadline) throws(Errno) {
        try ask(.replace, at: path, until: deadline)
    }

    private static func ask(_ message: VaultMessage, at path: String, until deadline: Deadline) throws(Errno) {
        let socket = try UnixSocket.connect(to: path, until: deadline)
        // Root may end what is another user's, and never take its place: the memory would not come with it.
        let (user, mayEnd) = (try socket.peer.user, message == .stop && OwnProcess.userID == 0)
        guard mayEnd || OwnProcess.trusts(user) else { throw .notPermitted }
        try socket.send(message.encoded.span, until: deadline)
        var incoming = [UInt8](repeating: 0, count: VaultMessage.byteCount)
        do throws(ReceiveError) { _ = try socket.receive(into: &incoming, until: deadline) } catch {
            if case .system(.timedOut) = error { throw .timedOut }
        }
    }
}
