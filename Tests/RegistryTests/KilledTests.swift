// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// Real processes, killed at each step. Afterwards nothing of them is left, and everyone else was told once.
/// `DMABUF_SHARE_ROUNDS` says how often.
@Suite("Killed clients", .leavesNoDescriptor)
struct KilledTests {
    static let rounds = OwnProcess.environment("DMABUF_SHARE_ROUNDS").flatMap { Int($0) } ?? 5

    enum Victim: String, CaseIterable {
        case owner, ownerOfLast, holder, holderToldToLetGo, moverInvalidating, moverCopying, moverCommitting, lockOwner
        case lockWaiter, promiser, toldToRevoke, revoker, waiterForMove, silent
    }

    @Test("nothing is left of who is killed, and the others are told once", arguments: Victim.allCases)
    func killed(victim: Victim) throws {
        let registry = try RunningRegistry()
        var witness = try HandClient(at: registry.socket)
        try registry.settle(at: nil)
        let before = registry.openDescriptors()
        for round in 0..<Self.rounds {
            let (told, expected) = try play(victim, registry, &witness)
            #expect(told == expected, "\(victim), round \(round)")
            // A question after all that: nothing more has come.
            #expect(try witness.allNotices().isEmpty, "\(victim), round \(round)")
            guard case .listed(let all, _) = try witness.ask(.list(from: 0)) else { throw Errno.badMessage }
            #expect(all.isEmpty, "\(victim), round \(round)")
            try registry.settle(at: before)
        }
        #expect(try registry.stop().status == 0)
    }

    /// One round: what the witness was told, by name, and what it should have been.
    private func play(
        _ victim: Victim, _ registry: borrowing RunningRegistry, _ witness: inout HandClient
    ) throws -> (told: [String], expected: [String]) {
        var puppet = try Puppet(at: registry.socket)
        switch victim {
        case .owner, .ownerOfLast:
            let isLast = victim == .ownerOfLast
            let buffer = try puppet.client.register(kept: isLast ? .lastAttachment : .owner)
            let attachment = try witness.attach(buffer)
            try puppet.kill()
            let told = [name(try witness.nextNotice())]
            if isLast { try witness.ask(.detach(attachment)) }
            return (told, [isLast ? "ownerGone" : "attachmentEnded"])

        case .holder:
            let buffer = try witness.register(kept: .owner)
            let attachment = try puppet.client.attach(buffer)
            try puppet.client.ask(.beginAccess(attachment, .first, .read))
            try puppet.kill()
            try wait { try witness.attachments(of: buffer) == 0 }
            try witness.ask(.withdraw(buffer))
            return (try names(&witness), [])

        case .holderToldToLetGo:
            let buffer = try witness.register(kept: .owner)
            let attachment = try puppet.client.attach(buffer)
            try puppet.client.ask(.beginAccess(attachment, .first, .read))
            try witness.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(10))))
            guard case .invalidate = try puppet.client.nextNotice() else { throw Errno.badMessage }
            try puppet.kill()
            guard case .readyToCopy = try witness.nextNotice() else { throw Errno.badMessage }
            let next = NewGeneration(of: buffer, from: .first, HandClient.memories())
            _ = try witness.ask(.commitMove(next), try HandClient.memory())
            // The old memory is free, for nobody has it any more.
            let told = try told(&witness, until: "released")
            try witness.ask(.withdraw(buffer))
            return (told + (try names(&witness)), ["moveEnded", "released"])

        case .moverInvalidating, .moverCopying, .moverCommitting:
            let buffer = try witness.register(kept: .owner)
            let attachment = try witness.attach(buffer)
            _ = try puppet.client.attach(buffer)
            if victim == .moverInvalidating { try witness.ask(.beginAccess(attachment, .first, .read)) }
            try puppet.client.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(10))))
            var told = [name(try witness.nextNotice())]
            if victim != .moverInvalidating {
                guard case .moving = try puppet.client.nextNotice() else { throw Errno.badMessage }
                guard case .readyToCopy = try puppet.client.nextNotice() else { throw Errno.badMessage }
            }
            if victim == .moverCommitting {
                let next = NewGeneration(of: buffer, from: .first, HandClient.memories())
                try puppet.client.send(.commitMove(next), try HandClient.memory())
            }
            try puppet.kill()
            // Whether a commit that was just sent is taken is decided by who is faster; it is one or the other.
            told.append(name(try witness.nextNotice()))
            let isMoved = told.last == "moved"
            #expect(!isMoved || victim == .moverCommitting)
            try wait { try witness.attachments(of: buffer) == 1 }
            if victim == .moverInvalidating { try witness.ask(.endAccess(attachment)) }
            try witness.ask(.withdraw(buffer))
            told += try names(&witness)
            return (
                told,
                [
                    victim == .moverInvalidating ? "invalidate" : "moving", isMoved ? "moved" : "moveAborted",
                    "attachmentEnded",
                ]
            )

        case .lockOwner, .lockWaiter:
            let buffer = try witness.register(kept: .owner)
            _ = try puppet.client.attach(buffer)
            _ = try witness.attach(buffer)
            let lock = Request.lock([buffer], within: .seconds(10), lasting: .seconds(10))
            if victim == .lockOwner {
                try puppet.client.ask(lock)
                let waiting = try witness.send(.request(lock))
                try puppet.kill()
                guard case .answer(.locked) = try witness.answer(to: waiting) else { throw Errno.badMessage }
            } else {
                try witness.ask(lock)
                try puppet.client.send(.request(lock))
                try puppet.kill()
                try wait { try witness.attachments(of: buffer) == 1 }
            }
            try witness.ask(.withdraw(buffer))
            return (try names(&witness), ["lockEnded", "attachmentEnded"])

        case .promiser:
            let buffer = try witness.register(kept: .owner)
            let attachment = try witness.attach(buffer)
            let its = try puppet.client.attach(buffer)
            try puppet.client.ask(.reserve(its, slots: 1))
            var list = DescriptorList()
            list.append(try EventFD().intoDescriptor())
            let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .seconds(10))
            guard
                case .answer(.fenceAdded) = try puppet.client.ask(
                    .request(.addFence(its, terms, lock: nil)), list)
            else { throw Errno.badMessage }
            let waiting = try witness.send(.request(.wait(attachment, .write, within: .seconds(10))))
            try puppet.kill()
            guard case .answer(.waited(.ownerDead)) = try witness.answer(to: waiting) else { throw Errno.badMessage }
            try witness.ask(.withdraw(buffer))
            return (try names(&witness), ["attachmentEnded"])

        case .toldToRevoke:
            let buffer = try witness.register(kept: .owner)
            let its = try puppet.client.attach(buffer)
            let revoke = RevokeTerms(.attachment(its), within: .seconds(10))
            let waiting = try witness.send(.request(.revoke(buffer, revoke)))
            guard case .revoke = try puppet.client.nextNotice() else { throw Errno.badMessage }
            try puppet.kill()
            guard case .answer(.revoked(let level)) = try witness.answer(to: waiting) else { throw Errno.badMessage }
            #expect(level == .cooperative)
            try witness.ask(.withdraw(buffer))
            return (try names(&witness), [])

        case .revoker:
            let buffer = try witness.register(kept: .owner)
            let mine = try witness.attach(buffer)
            try puppet.client.send(
                .request(.revoke(buffer, RevokeTerms(.attachment(mine), within: .seconds(10)))))
            var told = [name(try witness.nextNotice())]
            try puppet.kill()
            try witness.ask(.acknowledgeRevoke(mine))
            try witness.ask(.withdraw(buffer))
            told += try names(&witness)
            return (told, ["revoke", "attachmentEnded"])

        case .waiterForMove:
            let buffer = try witness.register(kept: .owner)
            try witness.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(10))))
            guard case .readyToCopy = try witness.nextNotice() else { throw Errno.badMessage }
            try puppet.client.send(.request(.attach(buffer, AttachTerms(.read))))
            try puppet.client.send(.request(.list(from: 0)))
            // Its question after that is answered, so the attach waits.
            guard case .answer(.listed) = try puppet.client.hear().message else { throw Errno.badMessage }
            try puppet.kill()
            try witness.ask(.abortMove(buffer, .first))
            let told = try told(&witness, until: "moveEnded")
            #expect(try witness.attachments(of: buffer) == 0)
            try witness.ask(.withdraw(buffer))
            return (told + (try names(&witness)), ["moveEnded"])

        case .silent:
            _ = try puppet.client.register(kept: .owner)
            try puppet.send(.stop)
            try puppet.kill()
            try wait {
                guard case .listed(let all, _) = try witness.ask(.list(from: 0)) else { return false }
                return all.isEmpty
            }
            return ([], [])
        }
    }

    private func told(_ witness: inout HandClient, until last: String) throws -> [String] {
        var all: [String] = []
        repeat { all.append(name(try witness.nextNotice())) } while all.last != last
        return all
    }

    private func names(_ witness: inout HandClient) throws -> [String] { try witness.allNotices().map(name) }

    private func name(_ notice: Notice) -> String { String("\(notice)".prefix { $0 != "(" }) }
}
