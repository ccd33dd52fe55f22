// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// How far a long copy has come, for a person watching: a line on standard error that is written over, and only where
/// that is a terminal and the copy takes longer than a moment.
struct Progress {
    private static let moment: Duration = .milliseconds(500)
    private static let pause: Duration = .milliseconds(100)

    private let what: String
    private let total: UInt64
    private var done: UInt64 = 0
    private var next: Deadline?
    private var isShown = false

    init(_ what: String, of total: UInt64) {
        self.what = what
        self.total = total
        next = StandardStream.error.isTerminal ? .after(Self.moment) : nil
    }

    mutating func add(_ count: Int) {
        done += UInt64(count)
        guard let next, next.hasPassed else { return }
        self.next = .after(Self.pause)
        show("\(what) \(humanBytes(done)) of \(humanBytes(total)), \(done * 100 / max(total, 1)) %")
        isShown = true
    }

    /// Nothing of it stays.
    func end() {
        if isShown { show("") }
    }

    private func show(_ text: String) {
        try? StandardStream.error.write("\r\u{1b}[K\(text)")
    }
}
