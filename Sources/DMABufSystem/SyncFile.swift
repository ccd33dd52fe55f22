// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/sync_file.h`: one or more kernel fences behind a descriptor.
///
/// | Swift         | ioctl                   | since                            |
/// |---------------|-------------------------|----------------------------------|
/// | `info`        | `SYNC_IOC_FILE_INFO`    | Linux 4.7                        |
/// | `merge`       | `SYNC_IOC_MERGE`        | Linux 4.7                        |
/// | `setDeadline` | `SYNC_IOC_SET_DEADLINE` | Linux 6.6 (`ENOTTY` before that) |
public enum SyncFile {
    /// What the kernel says of the fences: state of the whole, and who signals each.
    public struct Info: Sendable {
        public let status: Status
        public let fences: [FenceInfo]
    }

    public struct FenceInfo: Sendable {
        /// Driver and timeline in the kernel's words. Some kernels forget both once the fence has signalled.
        public let driver: String
        public let timeline: String
        public let status: Status
    }

    public enum Status: Equatable, Sendable {
        case pending
        case signalled
        case failed(Errno)

        init(kernel status: Int32) {
            self = status == 0 ? .pending : status > 0 ? .signalled : .failed(Errno(rawValue: -status))
        }
    }

    /// The state alone, in one call.
    ///
    /// The corresponding ioctl is `SYNC_IOC_FILE_INFO` with room for no fence.
    public static func status(_ file: borrowing Descriptor) throws(Errno) -> Status {
        var request = sync_file_info()
        let number = file.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_sync_info, &request) }
        return Status(kernel: request.status)
    }

    /// State and fences. A sync_file never changes its fences, so asking twice cannot race.
    ///
    /// The corresponding ioctl is `SYNC_IOC_FILE_INFO`.
    public static func info(_ file: borrowing Descriptor) throws(Errno) -> Info {
        var request = sync_file_info()
        let number = file.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_sync_info, &request) }
        var fences = [sync_fence_info](repeating: sync_fence_info(), count: Int(request.num_fences))
        request = sync_file_info()
        request.num_fences = UInt32(fences.count)
        try nothingOrErrno {
            unsafe fences.withUnsafeMutableBytes {
                request.sync_fence_info = UInt64(UInt(bitPattern: $0.baseAddress))
                return unsafe ioctl(number, dmabuf_ioctl_sync_info, &request)
            }
        }
        return Info(status: Status(kernel: request.status), fences: fences.map(FenceInfo.init(kernel:)))
    }

    /// A new sync_file that signals when both have. The caller owns it; the two stay as they are.
    ///
    /// The corresponding ioctl is `SYNC_IOC_MERGE`.
    public static func merge(
        _ first: borrowing Descriptor, _ second: borrowing Descriptor, named name: String
    ) throws(Errno) -> Descriptor {
        var request = sync_merge_data()
        request.fd2 = second.number
        unsafe withUnsafeMutableBytes(of: &request.name) { field in
            unsafe field.copyBytes(from: name.utf8.prefix(field.count - 1))
        }
        let number = first.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_sync_merge, &request) }
        return Descriptor(adopting: request.fence)
    }

    /// Hints to the signalling driver when the fence is wanted. A hint and no time-out: nothing is ended by it.
    ///
    /// The corresponding ioctl is `SYNC_IOC_SET_DEADLINE`.
    public static func setDeadline(_ file: borrowing Descriptor, _ deadline: Deadline) throws(Errno) {
        var request = dmabuf_sync_set_deadline(deadline_ns: deadline.nanoseconds, pad: 0)
        let number = file.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_sync_set_deadline, &request) }
    }
}

extension SyncFile.FenceInfo {
    fileprivate init(kernel info: sync_fence_info) {
        driver = text(of: info.driver_name)
        timeline = text(of: info.obj_name)
        status = SyncFile.Status(kernel: info.status)
    }
}

/// The text of a fixed `char[]` field, up to its NUL or its end.
func text<Field>(of field: Field) -> String {
    unsafe withUnsafeBytes(of: field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
