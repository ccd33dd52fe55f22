// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// A story told to a registry: what goes in, and what is expected to come out, as plain text.
///
///     # A comment says why.
///     limit buffers 8
///     connect uid 1000 pid 1
///       client c1
///     @ 5ms c1 register b1 bytes 4096 inode 7
///       c1 #1 registered b1 g1
///
/// A line at the margin is a step; `@ TIME` sets the clock before it. Indented lines are its effects, in order. Numbers are
/// the registry's own: `c1` a client, `b1` a buffer, `a3` an attachment, `f4` a fence, `l5` a lock, `t1` a token, `g2` a
/// generation, `#1` a request, numbered from 1 unless said otherwise. `impose c1 ceiling buffers 2 line 7 ladder 500ms killed`
/// lays conditions upon a client.
public struct Scenario: Sendable {
    public struct Entry: Sendable {
        public var line: Int
        public var time: Instant
        public var step: Step
        public var expected: [String]
    }

    public var limits = Limits()
    public var entries: [Entry] = []

    public init() {}

    /// Throws with the line that cannot be read.
    public init(_ text: String) throws(ScenarioError) {
        var time = Instant(nanoseconds: 0)
        var requests: UInt64 = 0
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = raw.split(separator: " ").map(String.init)
            guard let first = words.first, first.first != "#" else { continue }
            if raw.first == " " {
                guard !entries.isEmpty else { throw ScenarioError(line: index + 1, "an effect before the first step") }
                entries[entries.count - 1].expected.append(words.joined(separator: " "))
                continue
            }
            var cursor = Words(words, line: index + 1)
            if cursor.take("limit") {
                try cursor.limit(&limits)
            } else {
                if cursor.take("@") { time = Instant(nanoseconds: try cursor.interval().nanoseconds) }
                let step = try cursor.step(&requests)
                entries.append(Entry(line: index + 1, time: time, step: step, expected: []))
            }
            try cursor.end()
        }
    }
}

public struct ScenarioError: Error, CustomStringConvertible {
    public var line: Int
    public var problem: String

    init(line: Int, _ problem: String) {
        self.line = line
        self.problem = problem
    }

    public var description: String { "line \(line): \(problem)" }
}

/// One thing that happens to a registry.
public enum Step: Hashable, Sendable {
    case connect(Identity)
    case impose(ClientID, Conditions)
    case request(ClientID, RequestNumber, Request)
    case observe(Observation)
    case expire
    /// The registry's process has died, and another begins with what survived.
    case restart
    /// A client of before has come back.
    case comeBack(ClientID, Identity)

    /// Plays it, and says what came out, in the words of a scenario's expectations.
    public func play(on registry: inout Registry, at now: Instant) -> [String] {
        var effects = Effects()
        var lines: [String] = []
        switch self {
        case .connect(let identity):
            do throws(Refusal) {
                let client = try registry.connect(identity, at: now, into: &effects)
                lines.append("client \(text(client))")
            } catch {
                lines.append("refused \(text(error))")
            }
        case .impose(let client, let conditions): registry.impose(conditions, on: client)
        case .request(let client, let number, let request):
            registry.handle(request, numbered: number, from: client, at: now, into: &effects)
        case .observe(let observation): registry.observe(observation, at: now, into: &effects)
        case .expire: registry.expire(at: now, into: &effects)
        case .restart:
            let left = registry.durable
            registry = Registry(limits: registry.limits)
            registry.restore(left, numbersFrom: 1000, at: now, into: &effects)
        case .comeBack(let client, let identity):
            let isBack = registry.comeBack(client, as: identity, at: now, into: &effects)
            lines.append(isBack ? "back \(text(client))" : "unknown \(text(client))")
        }
        return lines + effects.list.map(text)
    }
}
