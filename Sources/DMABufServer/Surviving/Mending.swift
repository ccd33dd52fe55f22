// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import Logging
import SystemPackage

// Rule: a vault that is lost has a successor.
//
// The registry still has all that the vault held. So it starts another one, gives it the memory of each buffer, some at each
// turn of the loop, for clients are served in between, and then a journal of all that is so. Until then nothing would
// survive, and the log and the figures say so.

/// What there is to do about a vault that is lost.
struct Mending {
    static let givenAtOnce = 128
    private static let turn = Interval.milliseconds(1)
    private static let shortestPause = Interval.milliseconds(20)
    private static let longestPause = Interval.seconds(10)
    private static let longestStart = Interval.seconds(10)

    /// When that is; nil: nothing.
    private(set) var next: Instant?
    private var pause = shortestPause
    private var wholeSince: Instant?
    fileprivate var isReady = false
    /// Buffers whose memory the new one may not have yet.
    fileprivate(set) var left: [BufferID] = []

    /// Before another one is started. Each that does not last makes the pause longer.
    mutating func wait(from now: Instant) {
        if let wholeSince, now > wholeSince + Self.longestPause { pause = Self.shortestPause }
        wholeSince = nil
        isReady = false
        next = now + pause
        pause = min(Interval(nanoseconds: 2 * pause.nanoseconds), Self.longestPause)
    }

    /// For so long it is waited for.
    fileprivate mutating func started(at now: Instant) { next = now + Self.longestStart }

    /// It is there.
    mutating func begin(with buffers: [BufferID], at now: Instant) {
        left = buffers
        isReady = true
        next = now
    }

    /// What a step has changed meanwhile.
    mutating func note(_ changes: [Change]) {
        for case .buffer(let id) in changes { left.append(id) }
    }

    fileprivate mutating func goOn(at now: Instant) { next = now + Self.turn }

    fileprivate mutating func end(at now: Instant) {
        next = nil
        wholeSince = now
    }
}

extension RegistryServer {
    mutating func mendVault() {
        guard let place = configuration.vault else { return }
        do throws(Errno) {
            if let vault { try give(to: vault) } else { try startVault(place) }
        } catch { if vault == nil { mending.wait(from: now) } else { loseVault("\(error)") } }
    }

    private mutating func startVault(_ place: VaultPlace) throws(Errno) {
        let started = try VaultLink.startAnew(place)
        vault = started
        registry.keepsChanges = true
        try poller.add(started.socket.descriptor, token: EventToken.vault.rawValue)
        mending.started(at: now)
    }

    private mutating func give(to vault: VaultLink) throws(Errno) {
        guard mending.isReady else { throw .timedOut }
        for _ in 0..<Mending.givenAtOnce {
            guard let id = mending.left.last else { return try complete(vault) }
            guard try give(id, to: vault) else { break }
            mending.left.removeLast()
        }
        mending.goOn(at: now)
    }

    /// False where it has to read first.
    private mutating func give(_ id: BufferID, to vault: VaultLink) throws(Errno) -> Bool {
        guard let buffer = registry.durable(id) else { return true }
        let key = GenerationKey(buffer: id, generation: buffer.generation)
        guard !vault.held.contains(key), let entry = memories[key] else { return true }
        guard try vault.tryKeep(key, entry) else { return false }
        memories[key]?.baseline = Self.baselineWithVault
        return true
    }

    private mutating func complete(_ vault: VaultLink) throws(Errno) {
        registry.takeChanges()
        try rewriteJournal(vault)
        mending.end(at: now)
        log.notice("there is another vault", metadata: ["held": "\(vault.held.count)"])
    }
}
