// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufPolicy
public import DMABufSystem
import DMABufWire
public import Logging
public import SystemPackage

/// The registry as a daemon: one thread around one epoll, no concurrency runtime in it.
///
/// The rules decide (``Registry``); this carries out what they say, and owns the descriptors. It never maps what a client
/// sent, and calls nothing on a descriptor before it knows what it is. One step is one call of the rules and then their
/// effects, in order; what carrying them out brings to light goes back into the rules as observations, until nothing is
/// left to do.
public struct RegistryServer: ~Copyable {
    let entrance: Entrance
    let poller: Poller
    let signals: SignalFD
    var spare: SpareDescriptor
    let counts: ReferenceCounts
    var log: Logger

    var registry: Registry
    var effects = Effects(capacity: 256)
    var observations: [Observation] = []
    var now = Instant(nanoseconds: 0)

    var clients = ClientTable()
    var greetings = GreetingQueue()
    var memories = MemoryTable()
    var pages = ControlPages()
    var fences = FenceTable()
    var reservations: ReservationWorker
    /// Fences on their way into the kernel, and answers that wait for that.
    var imports: Set<FenceID> = []
    var heldBack: [FenceID: HeldBack] = [:]
    let configuration: Configuration
    var policy: Policy
    /// As they are without the policy.
    let ownLimits: Limits
    var workers = WorkerTable()
    var counters = Counters()
    var budget: DescriptorBudget
    var strangeFiles = StrangeFiles()
    var gate = LogGate()
    private var waits: WaitLimit?
    /// Clients whose answers wait for other processes of this daemon's user: see ``Outbox/Outcome/starved``.
    var starved: Set<ClientNumber> = []
    var nextTry: Instant?
    /// Since when it has been hearing those who may be late; nil: nobody is, or all have been heard.
    private var hearingSince: Instant?
    /// When the entrance is watched again; nil while it is.
    var nextAccept: Instant?
    let tokens: TokenHash
    /// nil: nothing survives this process.
    var vault: VaultLink?
    var mending = Mending()
    /// Used again by every step that changes what survives.
    var changesTaken: [Change] = []
    var journalWriter = JournalWriter()
    /// What each client comes back with, and who is awaited.
    var secrets: [ClientID: SecretHash] = [:]
    var absent: [SecretHash: ClientID] = [:]
    let firstNumber: UInt64
    /// Another is about to take its place.
    var isYielding = false
    /// It is about to end: see ``drain()``.
    var isDraining = false
    let run = UInt64.random(in: 1 ... .max)

    /// What came with the request that is being decided.
    var arriving = Arriving()
    /// What the next answer passes on.
    var passing: GenerationKey?

    /// One message in, one out: both are used again and again.
    var incoming = Wire.roomForMessage
    var outgoing = Wire.roomForMessage

    /// Serves at `listener` from ``serve()`` on. Signals are taken from here on: make it before any thread is started.
    public init(
        _ listener: consuming UnixListener, _ configuration: Configuration = Configuration(), log: Logger
    ) throws(Errno) {
        // Its workers open devices, and it does not.
        DMABufFilesystem.keepFromDevices()
        try self.init(
            .listener(listener), SignalFD([.terminate, .interrupt, .hangUp]), WaitLimit(), configuration, log: log)
    }

    /// Serves those whose sockets come through `door`, until that hangs up. Takes no signals, and no timer of the process.
    init(through door: consuming UnixSocket, _ configuration: Configuration, log: Logger) throws(Errno) {
        try self.init(.door(door), SignalFD([]), nil, configuration, log: log)
    }

    private init(
        _ entrance: consuming Entrance, _ signals: consuming SignalFD, _ waits: consuming WaitLimit?,
        _ configuration: Configuration, log: Logger
    ) throws(Errno) {
        let spare = try SpareDescriptor()
        let poller = try Poller()
        let fresh = try TokenHash()
        let openFiles = try ResourceLimit.openFiles().soft
        let counts = try ReferenceCounts()
        let beginning = Beginning(configuration.vault, log: log)
        let tokens = beginning.contents.map { TokenHash(salt: $0.start.salt) } ?? fresh
        // Before the first client: from here on strangers' files are in this thread's table alone.
        let reservations = try ReservationWorker()
        try entrance.watch(by: poller)
        try poller.add(signals.descriptor, token: EventToken.signals.rawValue)
        try poller.add(reservations.socket.descriptor, token: EventToken.imported.rawValue)
        // Only now: a value that owns something is made whole or not at all.
        self.log = log
        self.configuration = configuration
        policy = configuration.policy
        var limits = configuration.limits
        budget = DescriptorBudget(openFiles: openFiles, limits: &limits)
        ownLimits = limits
        registry = Registry(limits: policy.limits(insteadOf: limits))
        self.waits = waits
        self.tokens = tokens
        vault = beginning.vault
        firstNumber = beginning.firstNumber
        self.reservations = reservations
        self.counts = counts
        self.entrance = entrance
        self.signals = signals
        self.spare = spare
        self.poller = poller
        begin(with: beginning)
    }

    /// Serves until a signal says to stop.
    public mutating func serve() throws(Errno) {
        var events = PollerEvents()
        while true {
            let late = firstLate
            let next = nextDeadline(late)
            try poller.wait(into: &events, until: next)
            now = Instant(nanoseconds: Deadline.now().nanoseconds)
            if events.count == 0, next?.hasPassed != true { waits?.rest() } else { waits?.work() }
            hearFirst(events.count, late)
            for index in 0..<events.count where !serve(events[index]) { return try leave() }
            endLate()
            if let next = nextTry, next <= now { feedStarved() }
            if let next = mending.next, next <= now { mendVault() }
            if let next = nextAccept, next <= now { watchEntrance() }
            strangeFiles.look(at: now)
        }
    }

    /// Who is due may have spoken in time, where this process comes late to hear it: so all that lies unread is heard first.
    /// Not for ever: somebody always has something to say.
    mutating func hearFirst(_ count: Int, _ firstLate: Instant?) {
        guard let firstLate, firstLate <= now else { return (hearingSince, registry.isHearing) = (nil, false) }
        if let since = hearingSince {
            if count == 0 || since + Self.longestHearing < now { hearingSince = nil }
        } else if firstLate + Self.hiccup < now {
            // That the first wait finds nothing says little: what stops a process cuts it short.
            hearingSince = now
        }
        registry.isHearing = hearingSince != nil
    }

    private static let longestHearing = Interval.milliseconds(100)
    private static let hiccup = Interval.milliseconds(5)

    /// What is due, once all have been heard.
    mutating func endLate() {
        guard !registry.isHearing else { return }
        if let next = registry.nextDeadline, next <= now { expire() }
        dropSilent()
        endLateWorkers()
    }

    var firstLate: Instant? { earlier(registry.nextDeadline, earlier(greetings.first, workers.firstEnd)) }

    private func nextDeadline(_ firstLate: Instant?) -> Deadline? {
        var first = earlier(firstLate, earlier(earlier(nextTry, nextAccept), strangeFiles.nextLook))
        first = earlier(first, mending.next)
        return first.map { Deadline(nanoseconds: $0.nanoseconds) }
    }

    private func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    /// False when it is time to stop.
    mutating func serve(_ event: PollerEvents.Event) -> Bool {
        switch EventToken(rawValue: event.token) {
        case .entrance: return acceptAll()
        case .signals: return !isToldToStop()
        case .client(let number): serve(client: number, event)
        case .process(let number): processEnded(number)
        case .fence(let id): fenceSignalled(id)
        case .imported: importsDone()
        case .worker(let number): workerAnswered(number)
        case .workerEnded(let number): workerEnded(number)
        case .vault: return hearVault()
        case nil: break
        }
        return true
    }

    private mutating func isToldToStop() -> Bool {
        while let signal = signals.next() {
            if signal.number != SignalNumber.hangUp.rawValue { return true }
            readPolicyAgain()
        }
        return false
    }

    /// Everyone is told, so that they come back to whoever serves next.
    private mutating func leave() throws(Errno) {
        try drain()
        if isYielding { return log.info("another registry takes over", metadata: ["clients": "\(clients.count)"]) }
        log.info("stopping", metadata: ["clients": "\(clients.count)"])
        for client in clients.all { part(client, .leaving, "the registry stops") }
        leaveVault()
    }
}
