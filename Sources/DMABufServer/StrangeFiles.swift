// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire

/// What becomes of descriptors that nothing here knows. Each is closed in a process of its own: that costs the loop a
/// moment, and one whose file never lets go of it costs that process.
///
/// Rule: *a uid that sends too many such files, or some that cannot be closed, is served no more* until the one is some time
/// ago and the other over.
struct StrangeFiles {
    /// That many in ``period``.
    static let limit = 64
    static let period = Interval.seconds(10)
    /// Whose closing has not come to an end.
    static let lostLimit = 8

    private struct User {
        var count = 0
        var end: Instant
        var lost = LostClosers()
        var isBanned: Bool { count >= StrangeFiles.limit || lost.count >= StrangeFiles.lostLimit }
    }

    private var users: [UInt32: User] = [:]
    private(set) var nextLook: Instant?

    mutating func add(_ count: Int, _ closers: LostClosers, of user: UInt32, at now: Instant) {
        users[user, default: User(end: now + Self.period)].count += count
        users[user]?.lost.formUnion(closers)
        if nextLook == nil { nextLook = now + .seconds(1) }
    }

    func serves(_ user: UInt32) -> Bool { users[user]?.isBanned != true }

    /// Forgets what is over.
    mutating func look(at now: Instant) {
        guard let next = nextLook, next <= now else { return }
        for (uid, var user) in users {
            user.lost.look()
            if user.end <= now { (user.count, user.end) = (0, now + Self.period) }
            users[uid] = user.count == 0 && user.lost.count == 0 ? nil : user
        }
        nextLook = users.isEmpty ? nil : now + .seconds(1)
    }
}

extension RegistryServer {
    /// All of the uid's clients go: each of them could do the same again.
    mutating func note(_ count: Int, _ closers: LostClosers, of user: UInt32) {
        strangeFiles.add(count, closers, of: user, at: now)
        guard !strangeFiles.serves(user) else { return }
        for client in clients.all where client.identity.user == user {
            part(client, .full, "too many files of this user's are of no known kind")
        }
    }
}
