// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire

/// What each well-formed fixture of the registry's messages says.
enum ExpectedRegistry {
    static let envelopes: [String: Envelope] = [requests, answers, rules, notices].reduce(into: [:]) { all, some in
        all.merge(some) { first, _ in first }
    }

    // MARK: Requests

    private static let requests: [String: Envelope] = [
        "ask-join": Envelope(serial: 2, .join(Join())),
        "ask-join-again": Envelope(serial: 2, .join(Join(secret: secret))),
        "ask-register": Envelope(serial: 9, .register(NewBuffer(plain, kept: .registry, name: "frame"))),
        "ask-register-image": Envelope(serial: 9, .register(NewBuffer(nv12, kept: .owner))),
        "ask-allocate": Envelope(serial: 9, .allocate(Allocation(.bytes(4096)))),
        "ask-allocate-exporter": Envelope(
            serial: 9, .allocate(Allocation(.bytes(65536), exporter: "heap:system", kept: .owner))),
        "ask-allocate-image": Envelope(
            serial: 9, .allocate(Allocation(image(1920, 1080, "NV12"), kept: .registry, name: "camera 0"))),
        "ask-allocate-image-exporter": Envelope(
            serial: 9, .allocate(Allocation(image(64, 48, "R8  "), exporter: "dumb:card0", name: "küche"))),
        "ask-register-tiled": Envelope(serial: 9, .register(NewBuffer(tiled, kept: .lastAttachment, name: "küche"))),
        "ask-commit-move": Envelope(serial: 9, .commitMove(NewGeneration(of: buffer, from: three, plain))),
        "ask-commit-move-fence": Envelope(
            serial: 9,
            .commitMove(
                NewGeneration(
                    of: buffer, from: three, nv12,
                    fence: FenceTerms(
                        timeline: .max, point: 1, usage: .kernel, kind: .eventFD, within: .seconds(10))))),
    ].merging(plainRequests) { first, _ in first }

    private static let plainRequests: [String: Envelope] = [
        "ask-withdraw": .withdraw(buffer),
        "ask-inspect": .inspect(buffer, token: token),
        "ask-inspect-own": .inspect(buffer, token: nil),
        "ask-list": .list(from: 0),
        "ask-list-on": .list(from: 12),
        "ask-name": .name(buffer, "camera 0"),
        "ask-share-uid": .share(buffer, Share(.user(1001), [.attachRead, .attachWrite, .fence])),
        "ask-share-gid": .share(buffer, Share(.group(44), .all)),
        "ask-share-everyone": .share(buffer, Share(.everyone, .attachRead)),
        "ask-lookup": .lookup("camera 0", uid: 1000),
        "ask-lookup-own": .lookup("x", uid: nil),
        "ask-make-token": .makeToken(
            token, buffer, TokenTerms([.attachRead, .delegate], uses: 2, lasts: .seconds(60))),
        "ask-make-token-delegated": .makeToken(
            TokenID(high: 0x70f1_e2d3_c4b5_a697, low: 0x8879_6a5b_4c3d_2e1f), buffer,
            TokenTerms(.attachRead, parent: token)),
        "ask-withdraw-token": .withdrawToken(token),
        "ask-attach": .attach(buffer, AttachTerms(.read)),
        "ask-attach-lease": .attach(
            buffer, AttachTerms(.readWrite, .pinned, lease: .milliseconds(500), token: token)),
        "ask-attach-named": .attachNamed("camera 0", uid: 1000, AttachTerms(.write, .revocable)),
        "ask-map": .map(four),
        "ask-detach": .detach(four),
        "ask-pin": .pin(four),
        "ask-unpin": .unpin(four),
        "ask-renew": .renew(four, lease: .seconds(1)),
        "ask-begin-access": .beginAccess(four, three, .write),
        "ask-end-access": .endAccess(AttachmentID(0x1122_3344_5566_7788)),
        "ask-begin-move": .beginMove(buffer, three, MoveTerms(within: .milliseconds(100))),
        "ask-begin-move-forced": .beginMove(
            buffer, three,
            MoveTerms(within: .milliseconds(100), late: .cutOff, copier: .server, token: token, lock: six)),
        "ask-begin-move-exporter": .beginMove(
            buffer, three, MoveTerms(within: .milliseconds(100), copier: .server, placement: "udmabuf")),
        "ask-acknowledge": .acknowledge(four, three, ending: nil),
        "ask-acknowledge-fence": .acknowledge(four, three, ending: fence),
        "ask-refuse-move": .refuseMove(four, three),
        "ask-abort-move": .abortMove(buffer, three),
        "ask-revoke": .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1))),
        "ask-revoke-one": .revoke(
            buffer,
            RevokeTerms(.attachment(four), within: .milliseconds(500), isFinal: true, cutsOff: true, token: token)),
        "ask-acknowledge-revoke": .acknowledgeRevoke(four),
        "ask-restore": .restore(four),
        "ask-reserve": .reserve(four, slots: 3),
        "ask-add-fence": .addFence(four, fence, lock: nil),
        "ask-add-fence-locked": .addFence(
            four, FenceTerms(timeline: 0, point: .max, usage: .bookkeep, kind: .pidFD, within: .seconds(10)), lock: six
        ),
        "ask-renew-fence": .renewFence(four, timeline: 1, within: .seconds(10)),
        "ask-snapshot": .snapshot(four, .write),
        "ask-wait": .wait(four, .read, within: .seconds(1)),
        "ask-lock": .lock([buffer, other], within: .seconds(1), lasting: .milliseconds(500)),
        "ask-unlock": .unlock(six),
    ].mapValues { (request: Request) in Envelope(serial: 9, .request(request)) }

    // MARK: Answers

    private static let answers: [String: Envelope] = [
        "answer-joined": Envelope(
            serial: 2, .joined(Joined(client: ClientID(0x0102_0304_0506_0708), secret: secret, run: 3))),
        "answer-joined-with-pages": Envelope(
            serial: 2,
            .joined(
                Joined(
                    client: ClientID(0x0102_0304_0506_0708), secret: secret, run: 3,
                    pages: Pages(publishedByteCount: 65536, ownByteCount: 4096, connection: 8)))),
        "answer-inspected": Envelope(
            serial: 9,
            .inspected(
                InspectedBuffer(
                    Inspection(
                        listing: camera,
                        backing: Backing(inode: 77, byteCount: 3_117_056, descriptorCount: 2, provesRelease: true),
                        holders: [Holder(four, ClientID(1)), Holder(AttachmentID(9), nil)],
                        quarantined: [Generation(2)], fences: FenceSummary(status: .error(5), pending: 0)),
                    nv12))),
        "answer-inspected-idle": Envelope(
            serial: 9,
            .inspected(
                InspectedBuffer(
                    Inspection(
                        listing: idle,
                        backing: Backing(
                            inode: 0xfedc_ba98_7654_3210, byteCount: 4096, descriptorCount: 1, provesRelease: false),
                        holders: [], quarantined: [], fences: .idle),
                    plain))),
        "answer-attached": grant(three, FenceSummary(status: .pending, pending: 2), plain),
        "answer-attached-image": grant(three, FenceSummary(status: .ownerDead, pending: 0), nv12),
        "answer-attached-with-word": grant(
            three, FenceSummary(status: .pending, pending: 2), plain, word: GrantedWord(stamp: 28, slot: 9, word: 0)),
        "answer-mapped-with-word": grant(
            Generation(4), .idle, plain, word: GrantedWord(stamp: 1 << 40, slot: 8191, word: 511), isMapped: true),
        "answer-mapped": grant(Generation(4), .idle, tiled, isMapped: true),
        "refused-failed": Envelope(serial: 9, .refused(OfferRefusal(.failed, "open: no space"))),
        "refused-unavailable": Envelope(serial: 10, .refused(OfferRefusal(.unavailable, "open: no card"))),
    ].merging(plainAnswers) { first, _ in first }

    private static let plainAnswers: [String: Envelope] = [
        "answer-done": .done,
        "answer-registered": .registered(buffer, .first),
        "answer-listed": .listed([camera, idle], next: 12),
        "answer-listed-all-states": .listed(
            [
                Listing(
                    buffer: other, generation: .first, byteCount: 4096, owner: 0, attachments: 0, kept: .lastAttachment,
                    state: .all, names: ["a", "b", "c", "d"])
            ], next: 0),
        "answer-listed-empty": .listed([], next: 24),
        "answer-found": .found(buffer, three),
        "answer-token-withdrawn": .tokenWithdrawn(tokens: 2, attachments: 3),
        "answer-access-ended": .accessEnded(.ok),
        "answer-access-ended-revoked": .accessEnded(.revoked),
        "answer-access-ended-dead": .accessEnded(.dead),
        "answer-move-begun": .moveBegun(Generation(4), until: at(milliseconds: 101)),
        "answer-revoked": .revoked(.enforced),
        "answer-revoked-cooperative": .revoked(.cooperative),
        "answer-revoked-unconfirmed": .revoked(
            .unconfirmed([Holder(four, ClientID(2)), Holder(AttachmentID(5), nil)])),
        "answer-fence-added": .fenceAdded(FenceID(8)),
        "answer-snapshot": .snapshot(.pending, [FenceID(5), FenceID(6)]),
        "answer-snapshot-failed": .snapshot(.error(62), []),
        "answer-waited": .waited(.ok),
        "answer-waited-owner-dead": .waited(.ownerDead),
        "answer-locked": .locked(six, until: at(milliseconds: 1500)),
    ].mapValues { (answer: Answer) in Envelope(serial: 9, .answer(answer)) }

    private static let rules: [String: Envelope] = [
        "ruled-out-stale": .stale(current: Generation(4)),
        "ruled-out-overflow-uid": .overflowUID,
        "ruled-out-number-taken": .numberTaken,
        "ruled-out-no-such-buffer": .noSuchBuffer,
        "ruled-out-no-such-attachment": .noSuchAttachment,
        "ruled-out-no-such-token": .noSuchToken,
        "ruled-out-forbidden": .forbidden(missing: [.attachWrite, .pin]),
        "ruled-out-not-the-owner": .notTheOwner,
        "ruled-out-token-too-wide": .tokenTooWide(.attachWrite),
        "ruled-out-name-taken": .nameTaken,
        "ruled-out-denied-by-policy": .deniedByPolicy(line: 12),
        "ruled-out-buffer-ended": .bufferEnded,
        "ruled-out-quarantined": .quarantined(suspects: [Holder(four, ClientID(1)), Holder(AttachmentID(5), nil)]),
        "ruled-out-settling": .settling(until: at(milliseconds: 500)),
        "ruled-out-revoked": .revoked,
        "ruled-out-dead": .dead,
        "ruled-out-not-in-access": .notInAccess,
        "ruled-out-malformed": .malformed,
        "ruled-out-pinned": .pinned(by: []),
        "ruled-out-moving": .moving(until: at(milliseconds: 101)),
        "ruled-out-not-moving": .notMoving,
        "ruled-out-not-the-mover": .notTheMover,
        "ruled-out-not-owed": .notOwed(current: .first),
        "ruled-out-two-in-quarantine": .twoInQuarantine(suspects: [Holder(four, ClientID(1))]),
        "ruled-out-wrong-size": .wrongSize(expected: 4096),
        "ruled-out-same-memory": .sameMemory,
        "ruled-out-being-revoked": .beingRevoked(until: at(milliseconds: 500)),
        "ruled-out-not-reserved": .notReserved,
        "ruled-out-no-slots": .noSlots(limit: 64),
        "ruled-out-not-later": .notLater(than: 7),
        "ruled-out-no-such-fence": .noSuchFence,
        "ruled-out-too-long": .tooLong(limit: .seconds(10)),
        "ruled-out-timed-out": .timedOut(waitingFor: [FenceID(5), FenceID(1 << 63)]),
        "ruled-out-locked": .locked(by: six),
        "ruled-out-holds-lock": .holdsLock(six),
        "ruled-out-lock-ended": .lockEnded,
        "ruled-out-lock-timed-out": .lockTimedOut(waitingFor: six),
        "ruled-out-lock-timed-out-move": .lockTimedOut(waitingFor: nil),
        "ruled-out-over-quota": .overQuota(
            QuotaExcess(resource: .buffers, limit: 12, share: 4, remaining: 8, users: 2, largest: 1000)),
        "ruled-out-too-many": .tooMany(.waits, limit: 256),
        "ruled-out-over-ceiling": .overCeiling(
            CeilingExcess(resource: .bytes, line: 7, limit: 1 << 32, share: 4096)),
    ].mapValues { (refusal: Refusal) in Envelope(serial: 9, .answer(.refused(refusal))) }

    // MARK: Notices

    private static let notices: [String: Envelope] = [
        "notice-attachment-ended": .attachmentEnded(four, buffer),
        "notice-owner-gone": .ownerGone(four, buffer),
        "notice-withdrawn": .withdrawn(four, buffer),
        "notice-quarantined": .quarantined(buffer, Generation(2)),
        "notice-released": .released(buffer, three, isVerified: true),
        "notice-released-unverified": .released(buffer, three, isVerified: false),
        "notice-invalidate": .invalidate(four, buffer, three, until: at(milliseconds: 101)),
        "notice-moving": .moving(four, buffer, three),
        "notice-moved": .moved(four, buffer, Generation(4)),
        "notice-move-aborted": .moveAborted(four, buffer, three),
        "notice-ready-to-copy": .readyToCopy(buffer, Generation(4), .ok, until: at(milliseconds: 30_003)),
        "notice-ready-to-copy-failed": .readyToCopy(
            buffer, Generation(4), .error(5), until: at(milliseconds: 30_003)),
        "notice-move-ended": .moveEnded(buffer, .moved(Generation(4), cutOff: [Holder(AttachmentID(5), nil)])),
        "notice-move-ended-clean": .moveEnded(buffer, .moved(Generation(4), cutOff: [])),
        "notice-move-ended-late": .moveEnded(
            buffer, .aborted(.late([Holder(four, ClientID(1)), Holder(AttachmentID(5), nil)]))),
        "notice-move-ended-refused": .moveEnded(buffer, .aborted(.refused(by: Holder(AttachmentID(5), nil)))),
        "notice-move-ended-aborted": .moveEnded(buffer, .aborted(.asked)),
        "notice-move-ended-copy-failed": .moveEnded(buffer, .aborted(.copyFailed)),
        "notice-move-ended-copy-late": .moveEnded(buffer, .aborted(.copyLate)),
        "notice-move-ended-buffer-ended": .moveEnded(buffer, .aborted(.bufferEnded)),
        "notice-move-ended-quarantined": .moveEnded(buffer, .aborted(.quarantined)),
        "notice-move-ended-token-ended": .moveEnded(buffer, .aborted(.tokenEnded)),
        "notice-revoke": .revoke(four, buffer, isFinal: true, until: at(milliseconds: 500)),
        "notice-revoke-for-now": .revoke(four, buffer, isFinal: false, until: at(milliseconds: 500)),
        "notice-revoked": .revoked(four, buffer, .revoked),
        "notice-revoked-dead": .revoked(four, buffer, .dead),
        "notice-restored": .restored(four, buffer),
        "notice-fence-expired": .fenceExpired(FenceID(8), buffer),
        "notice-lock-ended": .lockEnded(six),
    ].mapValues { (notice: Notice) in Envelope(serial: 0, .notice(notice)) }

    // MARK: What they are about

    private static let buffer = BufferID(high: 0xb0b1_b2b3_b4b5_b6b7, low: 0xb8b9_babb_bcbd_bebf)
    private static let other = BufferID(high: 0, low: 2)
    private static let token = TokenID(high: 0x0f1e_2d3c_4b5a_6978, low: 0x8796_a5b4_c3d2_e1f0)
    private static let secret = Secret(high: 0x5ec2_e700_5ec2_e701, low: 0x5ec2_e702_5ec2_e703)
    private static let three = Generation(3)
    private static let four = AttachmentID(4)
    private static let six = LockNumber(6)
    private static let fence = FenceTerms(timeline: 3, point: 7, usage: .write, kind: .syncFile, within: .seconds(2))

    private static let plain = Memories(.memfd, .bytes(4096))

    private static let nv12 = Memories(
        .dmaBuf,
        BufferDescription(
            sizes: [2_076_672, 1_040_384],
            content: .image(
                ImageLayout(
                    width: 1920, height: 1080, fourcc: 0x3231_564e, modifier: .linear,
                    planes: [.init(memory: 0, offset: 0, stride: 1920), .init(memory: 1, offset: 0, stride: 1920)]))))

    private static let tiled = Memories(
        .dmaBuf,
        BufferDescription(
            sizes: [262_144],
            content: .image(
                ImageLayout(
                    width: 256, height: 256, fourcc: 0x3432_5241, modifier: Modifier(rawValue: 0x0100_0000_0000_0002),
                    planes: [.init(memory: 0, offset: 4096, stride: 1024)]))))

    private static let camera = Listing(
        buffer: buffer, generation: three, byteCount: 3_117_056, owner: 1000, attachments: 2, kept: .registry,
        state: [.moving, .pinned], names: ["camera 0", "küche"])
    private static let idle = Listing(
        buffer: other, generation: .first, byteCount: 4096, owner: 0, attachments: 0, kept: .owner, state: [],
        names: [])

    private static func image(_ width: UInt32, _ height: UInt32, _ format: String) -> BufferRequest {
        .image(width: width, height: height, format: PixelFormat(format)!)
    }

    private static func at(milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private static func grant(
        _ generation: Generation, _ fences: FenceSummary, _ memories: Memories, word: GrantedWord? = nil,
        isMapped: Bool = false
    ) -> Envelope {
        Envelope(
            serial: 9,
            .granted(
                Grant(
                    isMapped: isMapped, buffer: buffer, attachment: four, generation: generation, fences: fences,
                    memories: memories, word: word)))
    }
}
