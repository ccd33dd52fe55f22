// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// The descriptors of one message: what arrives together travels together, in order. What nobody takes is closed when
/// the list ends. Up to twenty cost no allocation.
@safe
public struct DescriptorList: ~Copyable, Sendable {
    /// The most that the kernel passes in one message (`SCM_MAX_FD`).
    public static let limit = 253

    private static let fewCount: Int32 = 20

    private var few = InlineArray<20, CInt>(repeating: -1)
    private var total: Int32 = 0
    private var taken: Int32 = 0
    /// What the first that is still here is, if somebody has looked.
    private var found: Identification?
    /// nil for most messages, whose list is made and ended again and again: so it is released in plain sight, which costs
    /// nothing where there is none.
    private var ownedRest: Unmanaged<Rest>?
    private let whose: Whose

    private enum Whose { case own, strangers, lent }

    /// It belongs to one list, which is not copied.
    private final class Rest: @unchecked Sendable {
        /// Those behind the first few.
        var numbers: [CInt] = []
        /// What those behind the first are.
        var found: [Identification] = []

        func takeFound() -> Identification? { found.isEmpty ? nil : found.removeFirst() }
    }

    public init() {
        whose = .own
    }

    /// For what came from a peer: what nobody takes is closed with care, see ``Descriptor/closeElsewhere()``.
    init(ofStrangers: Void) {
        whose = .strangers
    }

    /// For a message that is sent at once: the kernel duplicates what it passes on, so its owners may keep what they
    /// ``lend(_:)``, and have to keep it open until then. Nobody can take anything out of this list.
    package init(lent: Void) {
        whose = .lent
    }

    deinit {
        if taken < total { closeAll() }
        if let rest = unsafe ownedRest { unsafe rest.release() }
    }

    private func closeAll() {
        switch whose {
        case .own: for index in taken..<total { closeOwned(stored(index)) }
        case .strangers: _ = closeStrangers()
        case .lent: break
        }
    }

    private var rest: Rest? { unsafe ownedRest?.takeUnretainedValue() }

    private func stored(_ index: Int32) -> CInt {
        index < Self.fewCount ? few[Int(index)] : rest!.numbers[Int(index - Self.fewCount)]
    }

    private mutating func takeRest() -> Rest {
        if let rest { return rest }
        let rest = Rest()
        unsafe ownedRest = .passRetained(rest)
        return rest
    }

    /// Those in the list whose closing may wait for somebody are closed in processes of their own, all at once: one that was
    /// left in the table would hold whoever empties it. The others are closed here.
    private func closeStrangers() -> (count: Int, lost: LostClosers) {
        var strangers: [CInt] = []
        for index in taken..<total {
            let number = stored(index)
            if let kind = try? DescriptorKind(ofNumber: number), kind.closesAtOnce, !isBigFile(number, kind) {
                closeOwned(number)
            } else {
                strangers.append(number)
            }
        }
        return (strangers.count, LostClosers(closing: strangers))
    }

    /// What ``closeIfStrange()`` found.
    public struct Strangers: Sendable {
        /// Of the first one.
        public let kind: DescriptorKind
        /// How many had to be closed with care.
        public let count: Int
        /// Those whose closing has not come to an end.
        public let lost: LostClosers
    }

    /// If any of them is of a kind that is not known, closes all of them and says what was found; nil, and nothing has
    /// happened, if all are known.
    public mutating func closeIfStrange() -> Strangers? {
        precondition(whose != .lent, "a list of what belongs to others")
        guard !isEmpty else { return nil }
        forgetFound()
        for index in taken..<total {
            let number = stored(index)
            if let identification = try? Identification(ofNumber: number), identification.kind != nil {
                if found == nil { found = identification } else { takeRest().found.append(identification) }
                continue
            }
            let kind = (try? DescriptorKind(ofNumber: number)) ?? .other("what cannot be looked at")
            let (count, lost) = closeStrangers()
            taken = total
            forgetFound()
            return Strangers(kind: kind, count: count, lost: lost)
        }
        return nil
    }

    private mutating func forgetFound() {
        found = nil
        rest?.found = []
    }

    /// What ``closeIfStrange()`` has found the first one to be; nil if nobody has looked.
    public var identificationOfFirst: Identification? { found }

    /// How many are still in the list.
    public var count: Int { Int(total - taken) }
    public var isEmpty: Bool { taken == total }

    /// Adds one that stays its owner's.
    package mutating func lend(_ descriptor: borrowing Descriptor) {
        precondition(whose == .lent, "a list that closes what is in it")
        put(descriptor.number)
    }

    /// Takes ownership of `descriptor`.
    public mutating func append(_ descriptor: consuming Descriptor) {
        append(adopting: descriptor.release())
    }

    package mutating func append(adopting number: CInt) {
        precondition(whose != .lent, "a list of what belongs to others")
        put(number)
    }

    private mutating func put(_ number: CInt) {
        if total < Self.fewCount { few[Int(total)] = number } else { takeRest().numbers.append(number) }
        total += 1
    }

    /// Hands the first one out, or nil when none is left.
    public mutating func takeFirst() -> Descriptor? {
        precondition(whose != .lent, "a list of what belongs to others")
        guard taken < total else { return nil }
        let first = Descriptor(adopting: stored(taken))
        taken += 1
        if found != nil { found = rest?.takeFound() }
        return first
    }

    /// Appends a duplicate of `descriptor`, which stays its owner's.
    public mutating func appendDuplicate(of descriptor: borrowing Descriptor) throws(Errno) {
        append(try descriptor.duplicate())
    }

    /// The number at `index`, counted from the first that is still here; owning it stays with the list.
    package func number(at index: Int) -> CInt {
        precondition(index >= 0 && index < count, "no descriptor \(index) in a list of \(count)")
        return stored(taken + Int32(index))
    }

    /// Whether the descriptor at `index`, counted likewise, was opened to read and write.
    ///
    /// The corresponding C call is `fcntl(F_GETFL)`. Safe on any descriptor.
    public func isOpenForWriting(at index: Int) -> Bool { isOpenToReadAndWrite(number(at: index)) }

    /// What the descriptor at `index` is, by its link and fdinfo alone: see ``DescriptorKind``.
    public func kind(at index: Int) throws(Errno) -> DescriptorKind {
        try DescriptorKind(ofNumber: number(at: index))
    }
}
