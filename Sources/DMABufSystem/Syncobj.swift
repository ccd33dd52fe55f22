// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import CDRM
import Glibc
public import SystemPackage

/// A DRM syncobj: a place for a fence that may come later. A *binary* one has one fence, which is point 0 here; a *timeline*
/// has one for each point, and a point that has signalled has signalled all before it.
///
/// | Swift             | C function                                                  |
/// |-------------------|-------------------------------------------------------------|
/// | `init(_:)`        | `drmSyncobjCreate`, `drmSyncobjDestroy` at the end          |
/// | `init(_:adopting:)` | `drmSyncobjFDToHandle`                                    |
/// | `export`          | `drmSyncobjHandleToFD`                                      |
/// | `importSyncFile`  | `drmSyncobjImportSyncFile`                                  |
/// | `exportSyncFile`  | `drmSyncobjExportSyncFile`                                  |
/// | `transfer`        | `drmSyncobjTransfer`                                        |
/// | `signal`, `reset` | `drmSyncobjTimelineSignal`, `drmSyncobjSignal`, `drmSyncobjReset` |
/// | `point`           | `drmSyncobjQuery2`                                          |
/// | `wait`            | `drmSyncobjTimelineWait`                                    |
/// | `raise`           | ioctl `DRM_IOCTL_SYNCOBJ_EVENTFD` (Linux 6.6)               |
public final class Syncobj: Sendable {
    public let node: DRMNode
    private let handle: UInt32

    /// A new one, with no fence. `notSupported` where the driver has none.
    public init(_ node: DRMNode) throws(Errno) {
        var handle: UInt32 = 0
        try nothingOrDRMError(unsafe drmSyncobjCreate(node.descriptor.number, 0, &handle))
        (self.node, self.handle) = (node, handle)
    }

    /// The one behind a descriptor that ``export()`` has made, in whatever process. Borrows the descriptor.
    public init(_ node: DRMNode, from descriptor: borrowing Descriptor) throws(Errno) {
        var handle: UInt32 = 0
        try nothingOrDRMError(unsafe drmSyncobjFDToHandle(node.descriptor.number, descriptor.number, &handle))
        (self.node, self.handle) = (node, handle)
    }

    deinit { drmSyncobjDestroy(node.descriptor.number, handle) }

    /// A descriptor of it, for others to open the same one with; the caller owns it. It can be passed, and nothing else.
    public func export() throws(Errno) -> Descriptor {
        var number: CInt = -1
        try nothingOrDRMError(unsafe drmSyncobjHandleToFD(node.descriptor.number, handle, &number))
        return Descriptor(adopting: number)
    }

    // MARK: Fences in and out, of a binary one

    /// From now on it has that fence.
    public func importSyncFile(_ file: borrowing Descriptor) throws(Errno) {
        try nothingOrDRMError(drmSyncobjImportSyncFile(node.descriptor.number, handle, file.number))
    }

    /// The fence that it has; the caller owns the descriptor. `invalidArgument` if it has none.
    public func exportSyncFile() throws(Errno) -> Descriptor {
        var number: CInt = -1
        try nothingOrDRMError(unsafe drmSyncobjExportSyncFile(node.descriptor.number, handle, &number))
        return Descriptor(adopting: number)
    }

    /// Gives `point` here the fence that `source` has at `sourcePoint`; zero for the fence of a binary one.
    /// `invalidArgument` if there is none yet.
    public func transfer(from source: Syncobj, at sourcePoint: UInt64, to point: UInt64) throws(Errno) {
        try nothingOrDRMError(drmSyncobjTransfer(node.descriptor.number, handle, point, source.handle, sourcePoint, 0))
    }

    // MARK: By the CPU

    /// Point 0 is the binary one's fence.
    public func signal(_ point: UInt64) throws(Errno) {
        var (handle, point) = (handle, point)
        if point == 0 {
            try nothingOrDRMError(unsafe drmSyncobjSignal(node.descriptor.number, &handle, 1))
        } else {
            try nothingOrDRMError(unsafe drmSyncobjTimelineSignal(node.descriptor.number, &handle, &point, 1))
        }
    }

    /// It has no fence any more.
    public func reset() throws(Errno) {
        var handle = handle
        try nothingOrDRMError(unsafe drmSyncobjReset(node.descriptor.number, &handle, 1))
    }

    public enum Reach: UInt32, Sendable {
        /// Its work is done.
        case signalled = 0
        /// Its work is under way (`DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED`).
        case submitted = 1
    }

    /// The last point of a timeline that has come so far.
    public func point(_ reach: Reach) throws(Errno) -> UInt64 {
        var (handle, point) = (handle, UInt64(0))
        try nothingOrDRMError(unsafe drmSyncobjQuery2(node.descriptor.number, &handle, &point, 1, reach.rawValue))
        return point
    }

    // MARK: Waiting

    public struct WaitOptions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static var all: WaitOptions { WaitOptions(rawValue: 1) }
        /// Waits for a fence to come, too; without it, none is an error.
        public static var forSubmit: WaitOptions { WaitOptions(rawValue: 2) }
        /// Waits for a fence to come, and not for its end.
        public static var available: WaitOptions { WaitOptions(rawValue: 4) }
    }

    /// Waits for any of them, all of one node, or for all. Which was the first, if any will do.
    ///
    /// `timedOut` at the deadline; `invalidArgument` where one has no fence yet and that is not waited for.
    @discardableResult
    public static func wait(
        for points: [(syncobj: Syncobj, point: UInt64)], _ options: WaitOptions, until deadline: Deadline
    ) throws(Errno) -> Int {
        guard let node = points.first?.syncobj.node else { throw .invalidArgument }
        guard points.allSatisfy({ $0.syncobj.node === node }) else { throw .improperLink }
        var (handles, values) = (points.map { $0.syncobj.handle }, points.map { $0.point })
        var first: UInt32 = 0
        let end = Int64(clamping: deadline.nanoseconds)
        let answer = unsafe handles.withUnsafeMutableBufferPointer { handles in
            unsafe values.withUnsafeMutableBufferPointer { values in
                unsafe drmSyncobjTimelineWait(
                    node.descriptor.number, handles.baseAddress, values.baseAddress, UInt32(handles.count), end,
                    options.rawValue, &first)
            }
        }
        guard answer != -ETIME else { throw .timedOut }
        try nothingOrDRMError(answer)
        return Int(first)
    }

    /// Raises `event` once the point has signalled, or once it has a fence. `inappropriateIOCTLForDevice` before Linux 6.6.
    public func raise(_ event: borrowing EventFD, at point: UInt64, _ options: WaitOptions = []) throws(Errno) {
        var request = dmabuf_syncobj_eventfd(
            handle: handle, flags: options.rawValue & WaitOptions.available.rawValue, point: point,
            fd: event.descriptor.number, pad: 0)
        let number = node.descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_syncobj_eventfd, &request) }
    }
}
