// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

// Rule: first it is kept, then it is told.
//
// After each step, and before anything of it is carried out, the vault is given the memory that the step has brought and the
// journal a record of all that has changed. So whoever hears of a step finds it again after the next restart. A registry
// that has lost its vault says so, in its log and its figures, and goes on; see Mending.swift.

extension RegistryServer {
    /// What the step has changed.
    mutating func survive() {
        guard let vault, registry.hasChanges else { return }
        guard vault.isWhole else { return mending.note(registry.takeChanges()) }
        do throws(Errno) {
            Failpoint.reach(.before, .journal)
            registry.takeChanges(into: &changesTaken)
            journalWriter.removeAll()
            for index in changesTaken.indices { try write(changesTaken[index], vault) }
            Failpoint.reach(.during, .journal)
            if !vault.append(journalWriter.written) { try rewriteJournal(vault) }
            Failpoint.reach(.after, .journal)
        } catch { loseVault("\(error)") }
    }

    private mutating func write(_ change: Change, _ vault: VaultLink) throws(Errno) {
        switch change {
        case .client(let id):
            if let client = registry.durable(id), let secret = secrets[id] {
                journalWriter.append(.client(client, secret: secret))
            } else {
                if let secret = secrets.removeValue(forKey: id) { absent[secret] = nil }
                journalWriter.append(.clientEnded(id))
            }
        case .buffer(let id):
            guard let buffer = registry.durable(id) else { return journalWriter.append(.bufferEnded(id)) }
            try keep(GenerationKey(buffer: id, generation: buffer.generation), vault)
            append(buffer)
        case .token(let id): journalWriter.append(registry.durable(id).map { .token($0) } ?? .tokenEnded(id))
        case .attachment(let id):
            journalWriter.append(registry.durable(id).map { .attachment($0) } ?? .attachmentEnded(id))
        }
    }

    private mutating func append(_ buffer: DurableBuffer) {
        guard let entry = entry(of: GenerationKey(buffer: buffer.id, generation: buffer.generation)) else { return }
        journalWriter.append(.buffer(buffer, entry.memories, isOurs: entry.isOurs))
    }

    /// The memory of a generation that is here, or has come with the request that is being decided.
    func entry(of key: GenerationKey) -> MemoryTable.Entry? {
        if let entry = memories[key] { return entry }
        let isArriving = arriving.generation == nil || arriving.generation == key
        return isArriving ? arriving.memory : nil
    }

    /// From here on the vault counts, too.
    mutating func keep(_ key: GenerationKey, _ vault: VaultLink) throws(Errno) {
        guard !vault.held.contains(key), let entry = entry(of: key) else { return }
        try vault.keep(key, entry)
        if memories[key] != nil {
            memories[key]?.baseline = Self.baselineWithVault
        } else {
            arriving.memory?.baseline = Self.baselineWithVault
        }
    }

    static var baselineWithVault: Int { 2 }

    /// Everything that is so now, in a journal of its own.
    mutating func rewriteJournal(_ vault: VaultLink) throws(Errno) {
        journalWriter.removeAll()
        journalWriter.append(.start(JournalStart(salt: tokens.salt, firstNumber: firstNumber)))
        let all = registry.durable
        for client in all.clients {
            if let secret = secrets[client.id] { journalWriter.append(.client(client, secret: secret)) }
        }
        for buffer in all.buffers { append(buffer) }
        for token in all.tokens { journalWriter.append(.token(token)) }
        for attachment in all.attachments { journalWriter.append(.attachment(attachment)) }
        try vault.begin(journal: journalWriter.written)
        // It was as large as the journal.
        journalWriter = JournalWriter()
    }

    /// The memory is nobody's any more.
    mutating func forget(_ key: GenerationKey) {
        memories[key] = nil
        do throws(Errno) { try vault?.drop(key) } catch { loseVault("\(error)") }
    }

    mutating func loseVault(_ reason: String) {
        guard let vault else { return }
        note(
            vault.isWhole ? .error : .warning,
            "the vault is lost: until there is another, nothing survives this process", ["reason": "\(reason)"])
        try? poller.remove(vault.socket.descriptor)
        vault.giveUp()
        self.vault = nil
        registry.keepsChanges = false
        registry.takeChanges()
        memories.setBaselines(to: 1)
        arriving.memory?.baseline = 1
        mending.wait(from: now)
    }

    /// False when it is time to stop.
    mutating func hearVault() -> Bool {
        switch vault?.hear() {
        case .ready: mending.begin(with: registry.durable.buffers.map(\.id), at: now)
        case .leave: return false
        case .yield:
            isYielding = true
            return false
        case .lost: loseVault("it has ended")
        case .nothing, nil: break
        }
        return true
    }

    /// In good order. What somebody may come back for stays in the vault for a while.
    mutating func leaveVault() {
        guard let vault else { return }
        if registry.durable.buffers.isEmpty { vault.end() }
        vault.leave()
        self.vault = nil
    }
}
