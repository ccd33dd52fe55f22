// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What a client is asked to let go of.
struct Question: Sendable {
    /// The request that asked; nil for the end of a lease or of a token.
    var label: UInt64?
    var isFinal: Bool
    /// Who does not answer loses its connection.
    var cutsOff: Bool
    var until: Instant
}

extension Checker {
    mutating func asked(_ index: Int, isFinal: Bool, until: Instant) throws(Violation) {
        let id = world.attachments[index].id
        let isOpen = world.attachments[index].question.map { $0.until > world.now } ?? false
        try expect(!isOpen, .noticeOnce, "attachment \(id.rawValue) was asked twice")
        var question = Question(label: nil, isFinal: isFinal, cutsOff: true, until: until)
        if case .request(_, _, .revoke(_, let terms)) = act, !world.attachments[index].isCondemned {
            (question.label, question.cutsOff) = (label, terms.cutsOff)
        }
        world.attachments[index].question = question
    }

    mutating func acknowledgedRevoke(_ id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        if world.attachments[index].isSilent, world.attachments[index].question == nil {
            world.attachments[index].isSilent = false
            return
        }
        let isFinal = world.attachments[index].question?.isFinal ?? false
        try settle(id) { if case .revoke = $0 { true } else { false } }
        world.attachments[index].isSilent = false
        lost(index, isFinal || world.attachments[index].isCondemned ? .dead : .revoked)
    }

    /// Told that it is lost: by a move that went on without it, or because it did not answer.
    mutating func told(_ index: Int, lost state: AttachmentState) throws(Violation) {
        try expect(state != .ok, .noticeOnce, "revoked to be well")
        let seen = world.attachments[index]
        guard let question = seen.question, question.until <= world.now, !isCutOff(seen, state),
            !isMadeFinal(seen, state)
        else {
            if seen.state == .ok { world.attachments[index].isSilent = true }
            lost(index, state)
            // Only a move's cut-off lets it map again, and leaves what it was asked open.
            world.attachments[index].isBarred = seen.isBarred || state == .dead
            world.attachments[index].question = seen.question
            return
        }
        // Its lease may end in this same step, before or after.
        let isMeant = question.isFinal ? state == .dead : state == .revoked || seen.isCondemned
        try expect(isMeant, .revokesHold, "asked to be \(question.isFinal ? "dead" : "revoked"), and is \(state)")
        if let label = question.label { world.silent.append((label, seen.id)) }
        if question.cutsOff { leaving.append(seen.peer) }
        world.attachments[index].isSilent = true
        lost(index, state)
    }

    /// Whether what was revoked already is lost for good by this step's request, and not by what it was asked before.
    private func isMadeFinal(_ seen: SeenAttachment, _ state: AttachmentState) -> Bool {
        guard seen.state == .revoked, state == .dead, case .request(_, _, .revoke(let id, let terms)) = act,
            terms.isFinal, world.buffers[seen.buffer].id == id
        else { return false }
        return terms.target == .everyone || terms.target == .attachment(seen.id)
    }

    /// Whether a move that is due in this same step may have gone on without it.
    private func isCutOff(_ seen: SeenAttachment, _ state: AttachmentState) -> Bool {
        guard state == .revoked else { return false }
        return world.peers[seen.peer].owed.contains {
            if case .invalidate(seen.id, _, _, let until) = $0 { until <= world.now } else { false }
        }
    }

    private mutating func lost(_ index: Int, _ state: AttachmentState) {
        world.attachments[index].lostAt = label
        if state == .dead { world.attachments[index].diedAt = label }
        world.attachments[index].state = state
        world.attachments[index].surelyReserved = 0
        world.attachments[index].isBarred = true
        world.attachments[index].question = nil
        // A lease goes on while it may come back.
        if state == .dead { world.attachments[index].lease = nil }
        loseAccesses(index)
        settleMove(index)
    }

    /// What a move had cut off already is not told again at the end of a question.
    mutating func forgetQuestions() {
        for index in world.attachments.indices {
            guard let question = world.attachments[index].question, question.until <= world.now else { continue }
            world.attachments[index].question = nil
            if world.attachments[index].state != .ok { world.attachments[index].isBarred = true }
        }
    }

    /// No level is claimed that was not reached.
    mutating func revoked(_ id: BufferID, _ level: RevokeLevel, _ open: OpenRequest) throws(Violation) {
        guard let buffer = world.buffer(id) else { return }
        let silent = world.silent.filter { $0.label == open.label }.map(\.id)
        world.silent.removeAll { $0.label == open.label }
        switch level {
        case .enforced:
            let seen = world.buffers[buffer]
            guard case .observe(.count(id, seen.generation, .atBaseline)) = act else {
                throw Violation(.revokesHold, "enforced, and no count has shown it")
            }
            let isReleased = UInt64(seen.released.count) + 1 >= seen.generation.rawValue
            try expect(isReleased, .revokesHold, "enforced, and old memory is in quarantine")
            let isUsed = world.attachments.contains { $0.buffer == buffer && !$0.isOver && $0.state == .ok }
            try expect(!isUsed || !isFresh(open), .revokesHold, "enforced, and someone is attached")
        case .cooperative:
            try expect(silent.isEmpty, .revokesHold, "cooperative, and one did not answer")
            let before = silentBefore(buffer, open)
            try expect(before.isEmpty, .revokesHold, "cooperative, and one has not answered before")
        case .unconfirmed(let holders):
            let named = holders.map(\.attachment)
            try expect(silent.allSatisfy(named.contains), .revokesHold, "who did not answer is not named")
            let isNamed = silentBefore(buffer, open).allSatisfy(named.contains) || named.count == Holder.listLimit
            try expect(isNamed, .revokesHold, "who has not answered before is not named")
        }
    }

    /// Whom the request means and who was lost without a word.
    private func silentBefore(_ buffer: Int, _ open: OpenRequest) -> [AttachmentID] {
        guard case .revoke(_, let terms) = open.request else { return [] }
        return world.attachments
            .filter { $0.buffer == buffer && !$0.isOver && $0.isSilent && !isLettingGo($0) }
            .map(\.id).filter { terms.target == .everyone || terms.target == .attachment($0) }
    }

    /// Whether this very step ends it: what follows from that is said before.
    private func isLettingGo(_ seen: SeenAttachment) -> Bool {
        switch act {
        case .request(let peer, _, .detach(let id)): peer == seen.peer && id == seen.id
        case .observe(.clientDied(let client)): world.peers[seen.peer].id == client
        default: !world.peers[seen.peer].isAlive
        }
    }

    /// Whether nobody can have attached since the revocation began.
    private func isFresh(_ open: OpenRequest) -> Bool { open.label == label }

    /// Who was to be cut off is.
    func checkLeaving() throws(Violation) {
        for peer in leaving {
            try expect(!world.peers[peer].isAlive, .revokesHold, "a client that did not answer was not cut off")
        }
    }
}
