// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

/// Rules: release is verified, and how often that is tried.
@Suite("Looks at memory that is not released")
struct LookTests {
    @Test("thousands whose counts stay raised are looked at once a second each, and not all in one step")
    func apart() throws {
        let count: UInt64 = 4096
        var (registry, effects, now) = (Registry(), Effects(), Instant(nanoseconds: 0))
        let client = try registry.connect(Identity(uid: 1000, gids: [1000], pid: 1), at: now, into: &effects)
        for number in 1...count {
            let registration = Registration(backing: Backing(inode: number, byteCount: 4096), kept: .owner)
            effects.removeAll()
            registry.handle(
                .register(BufferID(high: 0, low: number), registration), numbered: RequestNumber(number), from: client,
                at: now, into: &effects)
        }
        effects.removeAll()
        registry.observe(.clientDied(client), at: now, into: &effects)
        var (looks, longest) = (0, 0)
        var last: [BufferID: Instant] = [:]
        let (begin, end) = (now + .seconds(8), now + .seconds(16))
        while let next = registry.nextDeadline, next < end {
            now = next
            effects.removeAll()
            registry.expire(at: now, into: &effects)
            let seen = effects.list.compactMap { effect in
                if case .verifyRelease(let buffer, _) = effect { buffer } else { nil }
            }
            for buffer in seen {
                if now >= begin, let before = last[buffer] { #expect(now <= before + .seconds(1)) }
                last[buffer] = now
                registry.observe(.count(buffer, .first, .raised(by: 1)), at: now, into: &effects)
            }
            guard now >= begin else { continue }
            looks += seen.count
            longest = max(longest, seen.count)
        }
        #expect(UInt64(last.count) == count)
        #expect(longest <= Int(count) / 64, "\(longest) looks in one step, of \(looks)")
    }
}
