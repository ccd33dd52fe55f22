// SPDX-License-Identifier: Apache-2.0

#if FAILPOINTS
    import Glibc
    import Synchronization
#endif

/// The steps between a client and the registry at which either can be made to die, in a build that is made for it: that
/// nothing is left of it, and nobody waits for it without an end, is shown by killing it at each.
///
/// `DMABUF_FAIL_AT=STEP[:NTH]` kills the process when it gets to STEP for the NTH time, as SIGKILL does. In every other
/// build this is nothing at all.
public enum Failpoint: Sendable {
    case connect, hello, register, attach, fence, lock, move, acknowledge, release
    /// What a step has changed is written down; the vault takes what it is given; what it holds is handed over.
    case journal, vault, restore

    public enum Moment: Sendable {
        /// A client has not asked yet; the registry has not looked at what it was asked. Nothing is written, taken or
        /// handed over.
        case before
        /// A client has asked and not heard; the registry has decided, and done and said nothing of it. The vault has the
        /// memory and the journal no record; it has the descriptors in its hands, and holds none; half is handed over.
        case during
        /// A client has its answer; the registry has given it. It is written, held, handed over, and nobody has heard.
        case after
    }

    #if FAILPOINTS
        public static func reach(_ moment: Moment, _ step: @autoclosure () -> Failpoint?) {
            guard let doom, let step = step(), doom.step == name(moment, step) else { return }
            let count = reached.withLock {
                $0 += 1
                return $0
            }
            if count == doom.count { kill(getpid(), SIGKILL) }
        }
    #else
        @inlinable @inline(__always)
        public static func reach(_ moment: Moment, _ step: @autoclosure () -> Failpoint?) {}
    #endif
}

#if FAILPOINTS
    extension Failpoint: CaseIterable {
        public enum Role: String, CaseIterable, Sendable { case client, registry, vault }

        /// The steps that a process in this role comes by, as `DMABUF_FAIL_AT` takes them.
        public static func steps(of role: Role) -> [String] {
            allCases.flatMap { step in moments(of: step, role).map { name($0, step) } }
        }

        /// A client hears of a release; nobody is told anything while a connection is made.
        private static func moments(of step: Failpoint, _ role: Role) -> [Moment] {
            switch (step, role) {
            case (.vault, .vault), (.restore, .vault), (.restore, .registry), (.journal, .registry):
                [.before, .during, .after]
            case (_, .vault), (.vault, _), (.restore, _), (.journal, _): []
            case (.connect, _), (.release, .registry): [.before, .after]
            case (.release, .client): [.after]
            default: [.before, .during, .after]
            }
        }

        private static func name(_ moment: Moment, _ step: Failpoint) -> String { "\(step)-\(moment)" }

        private static let reached = Mutex(0)
        private static let doom: (step: String, count: Int)? = {
            guard let words = OwnProcess.environment("DMABUF_FAIL_AT")?.split(separator: ":"), let step = words.first
            else { return nil }
            return (String(step), words.count > 1 ? Int(words[1]) ?? 1 : 1)
        }()
    }
#endif
