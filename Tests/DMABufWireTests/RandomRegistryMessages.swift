// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import TestSupport

/// Every message to and from the registry, with every field anywhere in its range.
extension SplitMix64 {
    mutating func registryMessage() -> Message {
        switch below(15) {
        case 0: .join(Join(secret: flip() ? Secret(high: number(), low: some()) : nil))
        case 1:
            .joined(
                Joined(
                    client: ClientID(some()), secret: Secret(high: number(), low: some()), run: number(),
                    pages: flip() ? pages() : nil))
        case 2: .register(NewBuffer(memories(), kept: one(Kept.self), name: flip() ? name() : nil))
        case 3: .commitMove(NewGeneration(of: buffer(), from: generation(), memories(), fence: flip() ? fence() : nil))
        case 4: .granted(grant())
        case 12: flip() ? .allocate(allocation()) : .made(memories())
        case 14:
            flip()
                ? .stats
                : .statistics(list(0...5) { Statistic("n" + $0.text(Statistic.nameLimit - 1), $0.number()) })
        case 13: .order(WorkOrder(bufferRequest(), exporter: exporter(), source: flip() ? memories() : nil))
        case 5: .inspected(InspectedBuffer(inspection(), memories()))
        case 6...8: .request(request())
        case 9...10: .answer(answer())
        default: .notice(notice())
        }
    }

    private mutating func below(_ bound: Int) -> Int { .random(in: 0..<bound, using: &self) }
    private mutating func flip() -> Bool { .random(using: &self) }
    private mutating func one<Case: CaseIterable>(_: Case.Type) -> Case { Case.allCases.randomElement(using: &self)! }
    /// Not 0, which stands for none.
    private mutating func some() -> UInt64 { max(1, number()) }
    private mutating func name() -> String {
        let text = text(Wire.registryNameLimit)
        return text.isEmpty ? "n" : text
    }

    private mutating func buffer() -> BufferID { BufferID(high: number(), low: number()) }
    private mutating func token() -> TokenID { TokenID(high: number(), low: some()) }
    private mutating func generation() -> Generation { Generation(some()) }
    private mutating func attachment() -> AttachmentID { AttachmentID(some()) }
    private mutating func lockNumber() -> LockNumber { LockNumber(some()) }
    private mutating func instant() -> Instant { Instant(nanoseconds: number()) }
    private mutating func interval() -> Interval { Interval(nanoseconds: number()) }
    private mutating func rights() -> Rights { Rights(rawValue: number()) }
    private mutating func access() -> Access { Access(rawValue: .random(in: 1...3, using: &self)) }
    private mutating func holder() -> Holder { Holder(attachment(), flip() ? ClientID(some()) : nil) }
    private mutating func holders() -> [Holder] { list(0...(below(24) == 0 ? Holder.listLimit : 3)) { $0.holder() } }
    private mutating func fences() -> [FenceID] {
        list(0...(below(24) == 0 ? FenceID.listLimit : 3)) { FenceID($0.some()) }
    }

    private mutating func status() -> FenceStatus {
        [.pending, .ok, .error(.random(in: 1...4095, using: &self)), .ownerDead].randomElement(using: &self)!
    }

    private mutating func summary() -> FenceSummary {
        FenceSummary(status: status(), pending: Int(number() as UInt32))
    }

    private mutating func exporter() -> String? {
        let text = text(Wire.nameLimit)
        return text.isEmpty ? nil : text
    }

    private mutating func bufferRequest() -> BufferRequest {
        guard flip(), let format = PixelFormat(PixelFormat.known.randomElement(using: &self)!) else {
            return .bytes(number())
        }
        return .image(width: number(), height: number(), format: format)
    }

    private mutating func allocation() -> Allocation {
        Allocation(bufferRequest(), exporter: exporter(), kept: one(Kept.self), name: flip() ? name() : nil)
    }

    private mutating func memories() -> Memories { Memories(flip() ? .dmaBuf : .memfd, description()) }

    private mutating func fence() -> FenceTerms {
        FenceTerms(
            timeline: number(), point: number(), usage: one(Usage.self), kind: one(FenceTerms.Kind.self),
            within: interval())
    }

    private mutating func grant() -> Grant {
        Grant(
            isMapped: flip(), buffer: buffer(), attachment: attachment(), generation: generation(), fences: summary(),
            memories: memories(), word: flip() ? word() : nil)
    }

    private mutating func pages() -> Pages {
        let published: UInt32 = .random(in: 1...Pages.sizeLimit / 8, using: &self) * 8
        return Pages(
            publishedByteCount: published, ownByteCount: .random(in: 1...Pages.sizeLimit / 8, using: &self) * 8,
            connection: .random(in: 0..<published / 8, using: &self))
    }

    private mutating func word() -> GrantedWord {
        GrantedWord(
            stamp: max(SlotValue.step, SlotValue(rawValue: number()).stamp), slot: number(), word: number())
    }

    private mutating func listing() -> Listing {
        Listing(
            buffer: buffer(), generation: generation(), byteCount: number(), owner: number(), attachments: number(),
            kept: one(Kept.self), state: BufferState(rawValue: .random(in: 0...BufferState.all.rawValue, using: &self)),
            names: list(0...Wire.registryNamesLimit) { $0.name() })
    }

    private mutating func backing() -> Backing {
        Backing(inode: number(), byteCount: number(), descriptorCount: number(), provesRelease: flip())
    }

    private mutating func inspection() -> Inspection {
        Inspection(
            listing: listing(), backing: backing(), holders: holders(), quarantined: list(0...4) { $0.generation() },
            fences: summary())
    }
}

extension SplitMix64 {
    private mutating func request() -> Request {
        switch below(16) {
        case 0: .withdraw(buffer())
        case 1: .name(buffer(), name())
        case 2:
            .share(
                buffer(), Share([.user(number()), .group(number()), .everyone].randomElement(using: &self)!, rights()))
        case 3: .lookup(name(), uid: uid())
        case 4:
            .makeToken(
                token(), buffer(),
                TokenTerms(
                    rights(), uses: flip() ? UInt32(truncatingIfNeeded: some()) | 1 : nil,
                    lasts: flip() ? Interval(nanoseconds: some()) : nil, parent: flip() ? token() : nil))
        case 5: .withdrawToken(token())
        case 6: .inspect(buffer(), token: flip() ? token() : nil)
        case 7: .list(from: number())
        case 8: .attach(buffer(), attachTerms())
        case 9: .attachNamed(name(), uid: uid(), attachTerms())
        case 10: .beginMove(buffer(), generation(), moveTerms())
        case 11: .abortMove(buffer(), generation())
        case 12: .revoke(buffer(), revokeTerms())
        case 13:
            .lock(
                list(0...(below(24) == 0 ? Wire.lockLimit : 3)) { $0.buffer() }, within: interval(), lasting: interval()
            )
        case 14: .unlock(LockNumber(some()))
        default: requestOfAttachment()
        }
    }

    private mutating func uid() -> UInt32? { flip() ? .random(in: 0..<(.max), using: &self) : nil }

    private mutating func attachTerms() -> AttachTerms {
        AttachTerms(
            access(), one(Mobility.self), lease: flip() ? Interval(nanoseconds: some()) : nil,
            token: flip() ? token() : nil)
    }

    private mutating func moveTerms() -> MoveTerms {
        MoveTerms(
            within: interval(), late: one(MoveTerms.Late.self), copier: one(MoveTerms.Copier.self),
            token: flip() ? token() : nil, lock: flip() ? lockNumber() : nil, placement: flip() ? exporter() : nil)
    }

    private mutating func revokeTerms() -> RevokeTerms {
        RevokeTerms(
            flip() ? .everyone : .attachment(AttachmentID(some())), within: interval(), isFinal: flip(),
            cutsOff: flip(), token: flip() ? token() : nil)
    }

    private mutating func requestOfAttachment() -> Request {
        let id = attachment()
        return switch below(16) {
        case 0: .map(id)
        case 1: .detach(id)
        case 2: .pin(id)
        case 3: .unpin(id)
        case 4: .renew(id, lease: interval())
        case 5: .beginAccess(id, generation(), access())
        case 6: .endAccess(id)
        case 7: .acknowledge(id, generation(), ending: flip() ? fence() : nil)
        case 8: .refuseMove(id, generation())
        case 9: .acknowledgeRevoke(id)
        case 10: .restore(id)
        case 11: .reserve(id, slots: number())
        case 12: .addFence(id, fence(), lock: flip() ? lockNumber() : nil)
        case 13: .snapshot(id, one(Usage.self))
        case 14: .renewFence(id, timeline: number(), within: interval())
        default: .wait(id, one(Usage.self), within: interval())
        }
    }

    private mutating func answer() -> Answer {
        switch below(15) {
        case 0: .done
        case 1: .registered(buffer(), generation())
        case 2: .found(buffer(), generation())
        case 3: .accessEnded(one(AttachmentState.self))
        case 4: .moveBegun(generation(), until: instant())
        case 5: .revoked([.enforced, .cooperative, .unconfirmed(holders())].randomElement(using: &self)!)
        case 6: .fenceAdded(FenceID(some()))
        case 7: .snapshot(status(), fences())
        case 8: .waited(status())
        case 9: .locked(LockNumber(some()), until: instant())
        case 10: .tokenWithdrawn(tokens: Int(number() as UInt32), attachments: Int(number() as UInt32))
        case 11: .listed(list(0...(below(24) == 0 ? Wire.listingLimit : 2)) { $0.listing() }, next: number())
        default: .refused(refusal())
        }
    }

    private mutating func refusal() -> Refusal {
        let bare: [Refusal] = [
            .overflowUID, .numberTaken, .noSuchBuffer, .noSuchAttachment, .noSuchToken, .notTheOwner, .nameTaken,
            .bufferEnded, .revoked, .dead, .notInAccess, .malformed, .notMoving, .notTheMover, .sameMemory,
            .notReserved, .noSuchFence, .lockEnded,
        ]
        return switch below(22) {
        case 0: .stale(current: generation())
        case 1: .forbidden(missing: rights())
        case 2: .tokenTooWide(rights())
        case 3: .quarantined(suspects: holders())
        case 4: .pinned(by: holders())
        case 5: .moving(until: instant())
        case 6: .notOwed(current: generation())
        case 7: .twoInQuarantine(suspects: holders())
        case 8: .wrongSize(expected: number())
        case 9: flip() ? .beingRevoked(until: instant()) : .settling(until: instant())
        case 10: .noSlots(limit: number())
        case 11: .notLater(than: number())
        case 12: .tooLong(limit: interval())
        case 13: .timedOut(waitingFor: fences())
        case 14: flip() ? .locked(by: LockNumber(some())) : .holdsLock(LockNumber(some()))
        case 15: .lockTimedOut(waitingFor: flip() ? lockNumber() : nil)
        case 16:
            .overQuota(
                QuotaExcess(
                    resource: one(Resource.self), limit: number(), share: number(), remaining: number(),
                    users: number(), largest: number()))
        case 17: .tooMany(one(Refusal.Bounded.self), limit: number())
        case 18: .deniedByPolicy(line: number())
        case 19:
            .overCeiling(
                CeilingExcess(resource: one(Resource.self), line: number(), limit: number(), share: number()))
        default: bare.randomElement(using: &self)!
        }
    }

    private mutating func notice() -> Notice {
        let (id, buffer, generation) = (attachment(), buffer(), generation())
        return switch below(16) {
        case 0: .invalidate(id, buffer, generation, until: instant())
        case 1: .moving(id, buffer, generation)
        case 2: .moved(id, buffer, generation)
        case 3: .moveAborted(id, buffer, generation)
        case 4: .readyToCopy(buffer, generation, status(), until: instant())
        case 5: .moveEnded(buffer, flip() ? .moved(generation, cutOff: holders()) : .aborted(abort()))
        case 6: .revoke(id, buffer, isFinal: flip(), until: instant())
        case 7: .revoked(id, buffer, flip() ? .revoked : .dead)
        case 8: .restored(id, buffer)
        case 9: .attachmentEnded(id, buffer)
        case 10: .ownerGone(id, buffer)
        case 11: .withdrawn(id, buffer)
        case 12: .quarantined(buffer, generation)
        case 13: .released(buffer, generation, isVerified: flip())
        case 14: .fenceExpired(FenceID(some()), buffer)
        default: .lockEnded(LockNumber(some()))
        }
    }

    private mutating func abort() -> MoveAbort {
        [
            .late(holders()), .refused(by: holder()), .asked, .copyFailed, .copyLate, .bufferEnded, .quarantined,
        ].randomElement(using: &self)!
    }
}
