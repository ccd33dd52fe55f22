// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire

/// What the rules said is done, in order.
extension RegistryServer {
    mutating func carryOutAll() {
        survive()
        while !effects.isEmpty { carryOut(effects.takeNext()) }
    }

    /// What came to light goes back into the rules, until nothing is left.
    mutating func observe() {
        guard !observations.isEmpty else { return }
        var next = 0
        while next < observations.count {
            let observation = observations[next]
            next += 1
            effects.removeAll()
            registry.observe(observation, at: now, into: &effects)
            carryOutAll()
        }
        observations.removeAll(keepingCapacity: true)
    }

    mutating func expire() {
        effects.removeAll()
        registry.expire(at: now, into: &effects)
        carryOutAll()
        observe()
    }

    private mutating func carryOut(_ effect: consuming Effect) {
        switch consume effect {
        case .answer(let client, let number, let answer): reply(answer, number, to: client)
        case .notify(let client, let notice): tell(notice, to: client)
        case .passDescriptor(let buffer, let generation, _, _):
            passing = GenerationKey(buffer: buffer, generation: generation)
        case .watchFence(let id): watch(id)
        case .dropFence(let id): drop(id)
        case .importFence(let id, let buffer, let generation, let usage):
            importFence(id, GenerationKey(buffer: buffer, generation: generation), usage)
        case .startCopy(let buffer, let old, let new, let exporter):
            startCopy(buffer, from: old, to: new, with: exporter)
        case .cancelCopy(let buffer, let generation):
            cancelCopy(GenerationKey(buffer: buffer, generation: generation))
        case .verifyRelease(let buffer, let generation):
            let key = GenerationKey(buffer: buffer, generation: generation)
            observations.append(.count(buffer, generation, memories.count(of: key, by: counts)))
        case .release(let buffer, let generation, _):
            Failpoint.reach(.before, .release)
            letGo(of: GenerationKey(buffer: buffer, generation: generation))
            Failpoint.reach(.after, .release)
        case .disconnect(let client, let reason): cutOff(client, reason)
        case .publish(let buffer, let state): pages.publish(buffer, state)
        case .kill(let client): kill(client)
        }
    }

    /// Whoever closes memory last waits while the kernel takes it back. Where the vault has it, that is the vault.
    private mutating func letGo(of key: GenerationKey) {
        let last = (vault == nil ? memories[key]?.duplicatesOfBig : nil) ?? DescriptorList()
        forget(key)
        closeElsewhere(last)
    }

    func closeElsewhere(_ last: consuming DescriptorList) {
        while let descriptor = last.takeFirst() { descriptor.closeElsewhere() }
    }

    private mutating func reply(_ answer: consuming Answer, _ number: RequestNumber, to id: ClientID) {
        if arriving.client?.id == id, number == arriving.number { keepArrived(answer) }
        if holdsBack(answer, number, to: id) { return }
        guard let client = find(id) else { return }
        switch consume answer {
        case .attached(let attachment, _, let fences): grant(attachment, fences, isMapped: false, number, client)
        case .mapped(let attachment, _, let fences): grant(attachment, fences, isMapped: true, number, client)
        case .inspected(let inspection):
            let key = GenerationKey(buffer: inspection.listing.buffer, generation: inspection.listing.generation)
            guard let entry = memories[key] else { return }
            say(.inspected(InspectedBuffer(inspection, entry.memories)), number.rawValue, to: client)
        case .refused(let refusal):
            counters.refusals += 1
            say(.answer(.refused(refusal)), number.rawValue, to: client)
        case let other: say(.answer(consume other), number.rawValue, to: client)
        }
    }

    /// Most answers go to who has just asked.
    private func find(_ id: ClientID) -> ClientConnection? {
        if let asker = arriving.client, asker.id == id { asker } else { clients[id] }
    }

    /// The rules have taken what came with the request.
    private mutating func keepArrived(_ answer: Answer) {
        switch answer {
        case .registered(let buffer, let generation):
            memories[GenerationKey(buffer: buffer, generation: generation)] = arriving.memory.take()
        case .done: if let key = arriving.generation { memories[key] = arriving.memory.take() }
        default: break
        }
    }

    private mutating func grant(
        _ attachment: AttachmentID, _ fences: FenceSummary, isMapped: Bool, _ number: RequestNumber,
        _ client: ClientConnection
    ) {
        guard let key = passing.take(), let entry = memories[key] else { return }
        let grant = Grant(
            isMapped: isMapped, buffer: key.buffer, attachment: attachment, generation: key.generation, fences: fences,
            memories: entry.memories, word: word(for: attachment, key, client))
        say(.granted(grant), number.rawValue, with: entry.memory, to: client)
    }

    private mutating func tell(_ notice: Notice, to id: ClientID) {
        counters.notices += 1
        if case .attachmentEnded(let attachment, _) = notice { pages.remove(attachment) }
        guard let client = clients[id] else { return }
        if say(.notice(notice), 0, to: client) == .sent { observations.append(.delivered(id, notices: 1)) }
    }
}
