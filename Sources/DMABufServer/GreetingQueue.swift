// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Connections that have not joined yet, in the order in which they came. Who says nothing in a second is let go, and a uid
/// that has many such gets no more: a thousand half-open connections a second cost nobody else anything.
struct GreetingQueue {
    static let patience = Interval.seconds(1)
    /// Who is looked at so much later has another second: nobody can speak while the whole machine stands still.
    private static let lateness = Interval.milliseconds(200)
    static let limitPerUser = 128

    private struct Entry {
        var number: ClientNumber
        var user: UInt32
        var end: Instant
    }

    private var entries: [Entry] = []
    private var passed = 0
    private var perUser: [UInt32: Int] = [:]

    /// When the first of them is let go.
    var first: Instant? { passed < entries.count ? entries[passed].end : nil }

    func hasRoom(for user: UInt32) -> Bool { perUser[user, default: 0] < Self.limitPerUser }

    mutating func add(_ number: ClientNumber, of user: UInt32, at now: Instant) {
        entries.append(Entry(number: number, user: user, end: now + Self.patience))
        perUser[user, default: 0] += 1
    }

    /// It has joined, or is gone.
    mutating func remove(of user: UInt32) {
        perUser[user, default: 1] -= 1
        if perUser[user] == 0 { perUser[user] = nil }
        // All have come or gone, and none of their times is waited for.
        if perUser.isEmpty { forgetAll() }
    }

    private mutating func forgetAll() {
        entries.removeAll(keepingCapacity: true)
        passed = 0
    }

    /// The next whose time is over; it may have joined, or gone, meanwhile.
    mutating func popDue(at now: Instant) -> ClientNumber? {
        while let first, first + Self.lateness < now {
            var entry = entries[passed]
            entry.end = now + Self.patience
            passed += 1
            entries.append(entry)
        }
        guard let first, first <= now else { return nil }
        let number = entries[passed].number
        passed += 1
        if passed * 2 > entries.count {
            entries.removeFirst(passed)
            passed = 0
        }
        return number
    }
}
