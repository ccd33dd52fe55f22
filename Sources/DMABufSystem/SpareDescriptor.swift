// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// A number kept free for the moment when the table of open files is full. Then `accept` fails, the connection stays in
/// the queue, and the listener stays readable: a loop would spin. So this one's number is given up, the connection taken
/// and closed at once, and the number taken again.
public struct SpareDescriptor: ~Copyable, Sendable {
    private var spare: Descriptor?

    /// Opens `/dev/null`, which is never used.
    public init() throws(Errno) {
        spare = try .open("/dev/null", .readOnly)
    }

    /// Whether the number is kept. Another thread may have been faster when it was to be taken again.
    public var isKept: Bool {
        switch spare {
        case .some: true
        case .none: false
        }
    }

    /// Takes the next connection and closes it; its peer reads an end. To be called after ``UnixListener/tryAccept()``
    /// threw `tooManyOpenFiles` or `tooManyOpenFilesInSystem`. False where there was none, or no number could be had even
    /// so: then stop watching the listener for a while.
    public mutating func turnAway(from listener: borrowing UnixListener) -> Bool {
        spare = nil
        let wasOne: Bool
        do throws(Errno) {
            switch try listener.tryAccept() {
            case .some: wasOne = true
            case .none: wasOne = false
            }
        } catch { wasOne = false }
        spare = try? Descriptor.open("/dev/null", .readOnly)
        return wasOne
    }
}
