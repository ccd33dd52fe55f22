// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import DMABufWire

// What the rules say: it goes over the wire, and the clients remember its numbers.

extension World {
    private static let memories = Memories(.dmaBuf, .bytes(4096))

    mutating func learn(from asker: Int, _ request: Request? = nil) {
        var passed: BufferID?
        for effect in effects.list {
            if Self.isTold { print("  \(text(effect))") }
            switch effect {
            case .answer(let client, let number, let answer):
                learn(answer, place(of: client))
                send(Envelope(serial: number.rawValue, message(answer, passed)))
            case .notify(let client, let notice):
                _ = place(of: client)
                send(Envelope(serial: 0, .notice(notice)))
            case .passDescriptor(let buffer, _, _, _): passed = buffer
            case .watchFence(let fence): fences.append(fence)
            case .verifyRelease(let buffer, let generation): looks.append((buffer, generation))
            case .disconnect(let client, _): clients[place(of: client)] = ClientID(0)
            case .dropFence, .importFence, .startCopy, .cancelCopy, .release, .publish, .kill: break
            }
        }
        effects.removeAll()
        if case .beginMove(let id, _, _) = request { movers[id] = asker }
        if looks.count > 64 { looks.removeFirst(32) }
    }

    /// Nothing is said to who is not there.
    private func place(of client: ClientID) -> Int {
        guard let place = clients.firstIndex(of: client) else { fail("\(client) is spoken to, and gone") }
        return place
    }

    private mutating func learn(_ answer: Answer, _ place: Int) {
        switch answer {
        case .attached(let id, _, _): attachments.append((id, place))
        case .locked(let number, _): locks.append((number, place))
        case .registered(let id, _): owners[id] = identities[place]
        default: break
        }
    }

    private func message(_ answer: Answer, _ passed: BufferID?) -> Message {
        switch answer {
        case .attached(let id, let generation, let fences), .mapped(let id, let generation, let fences):
            guard let passed else { fail("\(answer) without a descriptor") }
            var isMapped = false
            if case .mapped = answer { isMapped = true }
            return .granted(
                Grant(
                    isMapped: isMapped, buffer: passed, attachment: id, generation: generation, fences: fences,
                    memories: Self.memories))
        case .inspected(let inspection): return .inspected(InspectedBuffer(inspection, Self.memories))
        default: return .answer(answer)
        }
    }
}
