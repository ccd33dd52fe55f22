// SPDX-License-Identifier: Apache-2.0

/// One thing that sharing needs or gains from, and whether this machine has it.
public struct Check: Hashable, Sendable {
    /// "udmabuf", "heap:system", "node:card0": stable, for programs.
    public let id: String
    public let ok: Bool
    /// What was found, in half a sentence.
    public let why: String
    /// What a person can run or change, nil where nothing needs to be done.
    public let remedy: String?

    public init(id: String, ok: Bool, why: String, remedy: String?) {
        self.id = id
        self.ok = ok
        self.why = why
        self.remedy = remedy
    }

    static func good(_ id: String, _ why: String) -> Check { Check(id: id, ok: true, why: why, remedy: nil) }

    static func bad(_ id: String, _ why: String, remedy: String) -> Check {
        Check(id: id, ok: false, why: why, remedy: remedy)
    }

    static func bad(_ id: String, _ obstacle: Obstacle) -> Check {
        bad(id, obstacle.reason, remedy: obstacle.remedy)
    }
}
