// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Whether `/proc` tells what a descriptor is and how many hold it.
enum ProcSupport: Equatable {
    case readable
    case closed(Errno)

    static func find() -> ProcSupport {
        do throws(Errno) {
            let probe = try EventFD()
            _ = try FDInfo(ofOwn: probe.descriptor)
            return .readable
        } catch {
            return .closed(error)
        }
    }

    var check: Check {
        switch self {
        case .readable: .good("fdinfo", "/proc/self/fdinfo is readable")
        case .closed(let error):
            .bad(
                "fdinfo", "/proc/self/fdinfo: \(error); no received descriptor can be told from another",
                remedy: "sudo mount -t proc proc /proc")
        }
    }
}

/// How many descriptors this process may hold; each buffer takes at least one.
enum OpenFileFindings: Equatable {
    case limit(ResourceLimit)
    case unknown(Errno)

    /// What login shells have been given for decades; less was set on purpose, or by mistake.
    private static let enough: UInt64 = 1024

    static func find() -> OpenFileFindings {
        do throws(Errno) { return .limit(try .openFiles()) } catch { return .unknown(error) }
    }

    var check: Check {
        switch self {
        case .limit(let limit) where limit.soft >= Self.enough:
            .good("open-files", "\(limit.soft == .max ? "any number of" : "\(limit.soft)") descriptors")
        case .limit(let limit):
            .bad(
                "open-files", "only \(limit.soft) descriptors, and each buffer takes one or more",
                remedy: limit.hard >= Self.enough
                    ? "ulimit -n \(Self.enough)" : "raise `nofile` in /etc/security/limits.conf, then log in again")
        case .unknown(let error): .bad("open-files", "the limit cannot be read: \(error)", remedy: "ulimit -n")
        }
    }
}
