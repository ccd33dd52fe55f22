// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem
import SystemPackage

/// A timeline of fences: numbered points, of which each has the ones before it behind it. It can be passed to another process,
/// which adds to it or waits for it, for points that do not exist yet as well.
///
/// Points become fences and fences points, on every kernel that has timelines: by way of a binary syncobj, since direct export
/// of a point is younger than they are.
///
/// The corresponding kernel name is `struct drm_syncobj` with `DRM_CAP_SYNCOBJ_TIMELINE`; in Wayland, `linux-drm-syncobj-v1`.
public final class Timeline: Sendable {
    private let syncobj: Syncobj

    /// A new one, at point 0.
    public init(on device: TimelineDevice) throws(DMABufError) {
        syncobj = try attempting("\(device.name): make a timeline") { () throws(Errno) in try Syncobj(device.node) }
    }

    /// The one behind a descriptor, which is closed. Throws `failed` for any other descriptor.
    public init(adopting descriptor: consuming Descriptor, on device: TimelineDevice) throws(DMABufError) {
        do throws(Errno) { syncobj = try Syncobj(device.node, from: descriptor) } catch {
            descriptor.closeElsewhere()
            throw .system("\(device.name): open a timeline", error, remedy: "pass what duplicateDescriptor() gives")
        }
    }

    private var node: String { syncobj.node.name }

    /// A descriptor to pass; the caller owns it.
    public func duplicateDescriptor() throws(DMABufError) -> Descriptor {
        try attempting("\(node): export a timeline") { () throws(Errno) in try syncobj.export() }
    }

    /// The last point whose work is done.
    public func signalledPoint() throws(DMABufError) -> UInt64 {
        try attempting("\(node): ask a timeline for its point") { () throws(Errno) in try syncobj.point(.signalled) }
    }

    /// The last point whose work is done or under way.
    public func submittedPoint() throws(DMABufError) -> UInt64 {
        try attempting("\(node): ask a timeline for its point") { () throws(Errno) in try syncobj.point(.submitted) }
    }

    /// Puts a fence at `point`, which signals when it does. Points grow. Throws `unsupported` for what is no sync_file.
    public func add(_ fence: Fence, at point: UInt64) throws(DMABufError) {
        try checkGrowing(point)
        guard fence.kind == .syncFile else {
            throw DMABufError(.unsupported, "only a sync_file goes onto a timeline, not a \(fence.kind.rawValue)")
        }
        try attempting("\(node): put a fence at point \(point)") { () throws(Errno) in
            let binary = try Syncobj(syncobj.node)
            try binary.importSyncFile(fence.descriptor)
            try syncobj.transfer(from: binary, at: 0, to: point)
        }
    }

    /// Signals `point` from here, without any work. Points grow.
    public func signal(_ point: UInt64) throws(DMABufError) {
        try checkGrowing(point)
        try attempting("\(node): signal point \(point)") { () throws(Errno) in try syncobj.signal(point) }
    }

    /// The kernel takes what does not grow, and from then on the timeline means something else.
    private func checkGrowing(_ point: UInt64) throws(DMABufError) {
        let last = try submittedPoint()
        guard point > last else {
            throw DMABufError(.invalid, "point \(point) does not come after point \(last), which the timeline has")
        }
    }

    /// The fence of `point`. Throws `invalid` if that has none yet: ``wait(for:until:)`` with `submitted` waits for one.
    public func fence(at point: UInt64) throws(DMABufError) -> Fence {
        do throws(Errno) {
            let binary = try Syncobj(syncobj.node)
            try binary.transfer(from: syncobj, at: point, to: 0)
            return Fence(knownSyncFile: try binary.exportSyncFile())
        } catch {
            guard error == .invalidArgument else { throw .system("\(node): export point \(point)", error) }
            throw DMABufError(
                .invalid, "\(node): nothing was submitted for point \(point) yet", cause: error,
                remedy: "wait until it is")
        }
    }

    public enum Stage: Sendable {
        /// A fence is there: its work was submitted.
        case submitted
        /// The work is done.
        case signalled
    }

    /// Waits for a point, whether anything was submitted for it or not. Throws `deadline`, saying which of the two is missing.
    public func wait(for point: UInt64, _ stage: Stage = .signalled, until deadline: Deadline) throws(DMABufError) {
        try Self.wait(for: [(self, point)], .all, stage, until: deadline)
    }

    public enum Which: Sendable { case any, all }

    /// Waits for points of timelines of one device. Which was the first, for `any`.
    @discardableResult
    public static func wait(
        for points: [(timeline: Timeline, point: UInt64)], _ which: Which, _ stage: Stage = .signalled,
        until deadline: Deadline
    ) throws(DMABufError) -> Int {
        var options: Syncobj.WaitOptions = stage == .submitted ? [.forSubmit, .available] : .forSubmit
        if which == .all { options.insert(.all) }
        do throws(Errno) {
            return try Syncobj.wait(
                for: points.map { ($0.timeline.syncobj, $0.point) }, options, until: deadline)
        } catch {
            guard error == .timedOut else { throw .system("wait for \(points.count) point(s)", error) }
            let late = points.compactMap { try? $0.timeline.lateness(of: $0.point) }
            throw DMABufError(
                .deadline, "waited in vain for \(late.joined(separator: ", "))", cause: .timedOut,
                remedy: "whoever is to submit or end that work may hang; a longer deadline only helps if it is slow")
        }
    }

    private func lateness(of point: UInt64) throws(DMABufError) -> String? {
        if try signalledPoint() >= point { return nil }
        if try submittedPoint() < point { return "point \(point) of \(node), for which nothing was submitted" }
        let who = try fence(at: point).parts().filter { $0.status == .pending }.map { "\($0.driver) (\($0.timeline))" }
        return "point \(point) of \(node), which is the work of \(who.joined(separator: ", "))".escapedForDisplay
    }

    /// Raises an eventfd with a point, whether anything was submitted for it yet or not. Throws `unsupported` before Linux 6.6.
    public func raise(
        _ event: borrowing EventFD, at point: UInt64, _ stage: Stage = .signalled
    ) throws(DMABufError) {
        do throws(Errno) {
            try syncobj.raise(event, at: point, stage == .submitted ? .available : [])
        } catch {
            guard error == .inappropriateIOCTLForDevice else { throw .system("\(node): await point \(point)", error) }
            throw DMABufError(.unsupported, "\(node): this kernel raises no eventfd for a point", cause: error)
        }
    }
}
