// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
import SystemPackage

/// Room on the stack for the control data of a message, as much as it needs.
struct ControlSpace: ~Copyable {
    func withRoom<Result>(
        _ size: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: MemoryLayout<cmsghdr>.alignment, body)
    }

    /// Lends control data that passes `count` descriptors; none at all for none.
    func withDescriptors(
        _ count: Int, _ number: (Int) -> CInt, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Void
    ) throws(Errno) {
        let size = count == 0 ? 0 : dmabuf_cmsg_space(MemoryLayout<CInt>.size * count)
        try unsafe withRoom(size) { (space) throws(Errno) in
            if count > 0 {
                var message = unsafe msghdr()
                unsafe message.msg_control = space.baseAddress
                unsafe message.msg_controllen = space.count
                let header = unsafe dmabuf_cmsg_first(&message)!
                unsafe header.pointee.cmsg_level = SOL_SOCKET
                unsafe header.pointee.cmsg_type = CInt(SCM_RIGHTS)
                unsafe header.pointee.cmsg_len = dmabuf_cmsg_length(MemoryLayout<CInt>.size * count)
                let data = unsafe dmabuf_cmsg_data(header)!
                for index in 0..<count {
                    unsafe data.storeBytes(
                        of: number(index), toByteOffset: index * MemoryLayout<CInt>.size, as: CInt.self)
                }
            }
            try unsafe body(space)
        }
    }
}
