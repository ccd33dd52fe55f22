// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Who is at the other end of a connection, as the kernel recorded it when the connection was made. What the process
/// does to itself later, such as changing its user, is not in it.
///
/// | Swift                      | C call                                            | since      |
/// |----------------------------|---------------------------------------------------|------------|
/// | `process`, `user`, `group` | `getsockopt(SO_PEERCRED)`                         |            |
/// | `groups`                   | `getsockopt(SO_PEERGROUPS)`                       | Linux 4.13 |
/// | `pidfd`                    | `getsockopt(SO_PEERPIDFD)`, before `pidfd_open`   | Linux 6.5  |
public struct PeerIdentity: ~Copyable, Sendable {
    /// Its number here, 0 if it lives in a process namespace that is not seen from here.
    public let process: Int32
    public let user: UInt32
    public let group: UInt32
    /// The supplementary groups; `group` need not be among them.
    public let groups: [UInt32]
    /// The process itself. It outlives the connection and belongs to this value.
    public let pidfd: PidFD

    /// Asks the kernel. `noSuchProcess` if the peer has ended, or may have: then nobody answers for it.
    public init(of socket: borrowing UnixSocket) throws(Errno) {
        let peer = try socket.peer
        let groups = try peerGroups(socket.descriptor.number)
        let pidfd = try PidFD(ofPeer: socket, process: peer.process)
        (process, user, group) = (peer.process, peer.user, peer.group)
        self.groups = groups
        self.pidfd = pidfd
    }

    /// The user whom the kernel shows in place of one that a user namespace does not know: 65534 as a rule. It stands for
    /// many, so it is nobody's identity.
    public static var overflowUser: UInt32 {
        Sysfs.integer("/proc/sys/kernel/overflowuid").flatMap { UInt32(exactly: $0) } ?? 65534
    }
}

extension PidFD {
    /// The process that made the other end. Before Linux 6.5 its number is looked up, and may by then be another's; so
    /// the connection is looked at afterwards: while its end is open, the peer has not ended and the number is its own.
    /// (A peer that passed its end on and ended is taken for whoever has its number. From 6.5 on there is no such gap.)
    init(ofPeer socket: borrowing UnixSocket, process: Int32) throws(Errno) {
        let number = socket.descriptor.number
        var pidfd: CInt = -1
        var size = socklen_t(MemoryLayout<CInt>.size)
        do throws(Errno) {
            try nothingOrErrno { unsafe getsockopt(number, SOL_SOCKET, soPeerPIDFD, &pidfd, &size) }
            self.init(adopting: Descriptor(adopting: pidfd))
            return
        } catch {
            switch error {
            case .protocolNotAvailable: break
            // Reaped already, as 6.5 to 6.14 say it; or never known.
            case .invalidArgument, .noData: throw .noSuchProcess
            default: throw error
            }
        }
        try self.init(lookingUp: process, of: socket)
    }

    /// The part for kernels before 6.5.
    package init(lookingUp process: Int32, of socket: borrowing UnixSocket) throws(Errno) {
        guard process > 0 else { throw .noSuchProcess }
        let found = try PidFD(process)
        let state = try Poll.wait(socket.descriptor, for: [], until: .now())
        guard state.isDisjoint(with: [.hungUp, .failed]) else { throw .noSuchProcess }
        self = found
    }
}

/// `SO_PEERPIDFD`: newer than Debian 12's headers.
private let soPeerPIDFD: CInt = 77
private let soPeerGroups: CInt = 59

private func peerGroups(_ number: CInt) throws(Errno) -> [UInt32] {
    var groups = [UInt32](repeating: 0, count: 32)
    while true {
        var size = socklen_t(groups.count * MemoryLayout<UInt32>.size)
        do throws(Errno) {
            try nothingOrErrno { unsafe getsockopt(number, SOL_SOCKET, soPeerGroups, &groups, &size) }
            groups.removeLast(groups.count - Int(size) / MemoryLayout<UInt32>.size)
            return groups
        } catch {
            // The size that is needed is in `size`. It cannot change: the groups are those of the moment of `connect`.
            let needed = Int(size) / MemoryLayout<UInt32>.size
            guard error == .outOfRange, needed > groups.count else { throw error }
            groups = [UInt32](repeating: 0, count: needed)
        }
    }
}
