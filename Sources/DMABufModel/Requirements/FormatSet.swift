// SPDX-License-Identifier: Apache-2.0

/// Pixel formats, each with the modifiers that go with it.
///
/// The corresponding kernel name is the plane property `IN_FORMATS`.
public struct FormatSet: Equatable, Sendable {
    private var modifiers: [UInt32: Set<Modifier>]

    public init(_ modifiers: [UInt32: Set<Modifier>]) { self.modifiers = modifiers }

    /// Each of these, linear: what a driver without modifiers takes.
    public init(linear fourccs: some Sequence<UInt32>) {
        modifiers = Dictionary(fourccs.map { ($0, [.linear]) }) { first, _ in first }
    }

    /// Every format that is known here, linear.
    public static let anyLinear = FormatSet(linear: PixelFormat.known.compactMap { PixelFormat($0)?.fourcc })

    public mutating func insert(_ fourcc: UInt32, _ modifier: Modifier) {
        modifiers[fourcc, default: []].insert(modifier)
    }

    public var isEmpty: Bool { modifiers.isEmpty }

    public var fourccs: [UInt32] { modifiers.keys.sorted() }

    /// Lowest first; empty for a format that is not in the set.
    public func modifiers(of fourcc: UInt32) -> [Modifier] {
        (modifiers[fourcc] ?? []).sorted { $0.rawValue < $1.rawValue }
    }

    public func contains(_ fourcc: UInt32, _ modifier: Modifier) -> Bool {
        modifiers[fourcc]?.contains(modifier) ?? false
    }

    /// What both have.
    public func intersection(_ other: FormatSet) -> FormatSet {
        var both: [UInt32: Set<Modifier>] = [:]
        for (fourcc, mine) in modifiers {
            let common = mine.intersection(other.modifiers[fourcc] ?? [])
            if !common.isEmpty { both[fourcc] = common }
        }
        return FormatSet(both)
    }
}
