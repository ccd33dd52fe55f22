// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// Properties that are set together, or not at all.
///
/// | Swift    | C function                                        |
/// |----------|---------------------------------------------------|
/// | `init`   | `drmModeAtomicAlloc`                              |
/// | `set`    | `drmModeAtomicAddProperty`                        |
/// | `commit` | `drmModeAtomicCommit`, property `OUT_FENCE_PTR`   |
/// | end      | `drmModeAtomicFree`                               |
@safe
public struct AtomicRequest: ~Copyable {
    private let node: DRMNode
    private let request: OpaquePointer

    /// Throws `noMemory`.
    public init(on node: DRMNode) throws(Errno) {
        guard let request = unsafe drmModeAtomicAlloc() else { throw .noMemory }
        self.node = node
        unsafe self.request = unsafe request
    }

    deinit { unsafe drmModeAtomicFree(request) }

    /// Properties that the driver does not have are left out.
    public mutating func set(_ property: ModeProperties.Property?, of owner: UInt32, to value: UInt64) throws(Errno) {
        guard let property else { return }
        try set(property.number, owner, value)
    }

    /// The blob must be there until the commit.
    public mutating func set(
        _ property: ModeProperties.Property?, of owner: UInt32, to blob: borrowing PropertyBlob
    ) throws(Errno) {
        try set(property, of: owner, to: UInt64(blob.number))
    }

    /// A sync_file that is waited for before the plane shows anything new (`IN_FENCE_FD`); the fences in the buffer's own
    /// reservation are not looked at then. It must be open until the commit.
    public mutating func setFence(
        _ property: ModeProperties.Property?, of plane: UInt32, to fence: borrowing Descriptor
    ) throws(Errno) {
        try set(property, of: plane, to: UInt64(fence.number))
    }

    private mutating func set(_ property: UInt32, _ owner: UInt32, _ value: UInt64) throws(Errno) {
        let answer = unsafe drmModeAtomicAddProperty(request, owner, property, value)
        if answer < 0 { throw Errno(rawValue: -answer) }
    }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// An event is to be read from the file once it is on the screen.
        public static var event: Flags { Flags(rawValue: 0x1) }
        /// Nothing changes: whether the driver would do it.
        public static var test: Flags { Flags(rawValue: 0x100) }
        /// It is not waited for.
        public static var nonblocking: Flags { Flags(rawValue: 0x200) }
        /// The screen may go dark for a moment.
        public static var modeset: Flags { Flags(rawValue: 0x400) }
    }

    /// Sets them. `token` comes back with the event. `resourceBusy` while a commit of the same CRTC is pending;
    /// `permissionDenied` without the DRM master; `invalidArgument` for what the driver cannot do.
    public consuming func commit(_ flags: Flags, token: UInt64 = 0) throws(Errno) {
        try nothingOrDRMError(
            unsafe drmModeAtomicCommit(
                node.descriptor.number, request, flags.rawValue, UnsafeMutableRawPointer(bitPattern: UInt(token))))
    }

    /// As above. Returns a sync_file that signals when it is on the screen; the caller owns it.
    public consuming func commit(
        _ flags: Flags, token: UInt64 = 0, fence property: ModeProperties.Property, of crtc: UInt32
    ) throws(Errno) -> Descriptor {
        var number: Int32 = -1
        let request = unsafe request
        let file = node.descriptor.number
        try nothingOrDRMError(
            unsafe withUnsafeMutablePointer(to: &number) { place in
                let address = UInt64(UInt(bitPattern: place))
                let answer = unsafe drmModeAtomicAddProperty(request, crtc, property.number, address)
                guard answer >= 0 else { return answer }
                return unsafe drmModeAtomicCommit(
                    file, request, flags.rawValue, UnsafeMutableRawPointer(bitPattern: UInt(token)))
            })
        return Descriptor(adopting: number)
    }
}
