// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

// Rule: the next registry begins with what the last one has left.
//
// What the journal says counts as far as the memory for it is there, and is what it was: the kernel's number of it, which is
// given once, and its size. The rest of what the vault holds is let go of. Then the journal is written anew.

/// What a registry begins with.
struct Beginning {
    var vault: VaultLink?
    var heritage = Heritage()
    var contents: JournalContents?
    var isTorn = false
    /// Why there is no vault.
    var failure: Errno?

    /// Numbers of one run: so many that it never gives them all.
    static let numbersPerRun: UInt64 = 1 << 40

    init(_ place: VaultPlace?, log: Logger) {
        guard let place else { return }
        Failpoint.reach(.before, .restore)
        do throws(Errno) {
            let (vault, heritage) = try VaultLink.open(place, log: log)
            self.vault = vault
            self.heritage = heritage
            let reading = JournalReading(self.heritage.journal)
            contents = JournalContents(reading.records)
            isTorn = reading.isTorn || contents == nil && !self.heritage.journal.isEmpty
        } catch { failure = error }
    }

    /// The first of this run.
    var firstNumber: UInt64 {
        guard let contents else { return 0 }
        return (contents.start.firstNumber / Self.numbersPerRun + 1) * Self.numbersPerRun
    }
}

extension RegistryServer {
    mutating func begin(with beginning: Beginning) {
        now = Instant(nanoseconds: Deadline.now().nanoseconds)
        pages.giveStamps(from: firstNumber)
        if let failure = beginning.failure {
            log.error(
                "there is no vault: until there is one, nothing survives this process",
                metadata: ["reason": "\(failure)"])
            mending.wait(from: now)
        }
        guard let vault = beginning.vault else { return }
        if beginning.isTorn { log.warning("the journal was torn: what was written last is lost") }
        registry.keepsChanges = true
        effects.removeAll()
        if let contents = beginning.contents { inherit(contents, beginning.heritage) }
        do throws(Errno) {
            for key in vault.held where memories[key] == nil { try vault.drop(key) }
            // Of one that died in the middle of handing it over.
            for key in memories.keys { try keep(key, vault) }
            registry.takeChanges()
            Failpoint.reach(.during, .restore)
            try rewriteJournal(vault)
            Failpoint.reach(.after, .restore)
            try poller.add(vault.socket.descriptor, token: EventToken.vault.rawValue)
        } catch { loseVault("\(error)") }
        carryOutAll()
        observe()
    }

    private mutating func inherit(_ contents: JournalContents, _ heritage: Heritage) {
        var all = contents.durable
        all.buffers = all.buffers.filter { buffer in
            guard let left = contents.buffers[buffer.id] else { return false }
            let key = GenerationKey(buffer: buffer.id, generation: buffer.generation)
            let entry = heritage.memory[key].flatMap { adopted($0, left.memories, left.isOurs, buffer.backing) }
            memories[key] = entry
            return entry != nil
        }
        for (id, left) in contents.clients {
            secrets[id] = left.secret
            absent[left.secret] = id
        }
        let lost = contents.buffers.count - all.buffers.count
        log.log(
            level: lost == 0 ? .info : .error, "took over",
            metadata: ["buffers": "\(all.buffers.count)", "clients": "\(all.clients.count)", "lost": "\(lost)"])
        registry.restore(all, numbersFrom: firstNumber, at: now, into: &effects)
    }

    /// Memory that is what it was, by the kernel's word.
    private func adopted(
        _ inherited: Heritage.Inherited, _ memories: Memories, _ isOurs: Bool, _ backing: Backing
    ) -> MemoryTable.Entry? {
        var list: [DMABuffer] = []
        while let descriptor = inherited.descriptors.takeFirst() {
            guard let memory = try? DMABuffer(adopting: descriptor) else { return nil }
            list.append(memory)
        }
        guard list.count == memories.description.sizes.count else { return nil }
        let entry = MemoryTable.Entry(
            memory: list, memories: memories, baseline: Self.baselineWithVault, isOurs: isOurs)
        let found = entry.backing
        // Whoever has a memfd may have made it longer.
        return found.inode == backing.inode && found.byteCount >= backing.byteCount ? entry : nil
    }
}
