// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
public import SystemPackage

/// Why a device cannot be used here, and what a person can do about it.
public struct Obstacle: Error, Hashable, Sendable {
    public let cause: Errno
    /// Half a sentence: "permission denied: group kvm, and alice is not in it".
    public let reason: String
    public let remedy: String

    public init(_ cause: Errno, _ reason: String, remedy: String) {
        self.cause = cause
        self.reason = reason
        self.remedy = remedy
    }
}

extension Obstacle {
    /// What kept us from opening `path`. Looks at the file's owner, and opens nothing.
    init(opening path: String, _ cause: Errno) {
        self.init(opening: path, cause, owner: try? FileOwner(of: path), process: .current())
    }

    init(opening path: String, _ cause: Errno, owner: FileOwner?, process: ProcessIdentity) {
        switch cause {
        case .permissionDenied:
            self =
                Denial(
                    path: path, owner: owner, group: owner.flatMap { GroupAccount($0.group) }, process: process
                ).obstacle
        case .notPermitted:
            self.init(
                cause, "not permitted, although the file may be opened: a container keeps its devices closed",
                remedy: "start the container with --device \(path)")
        case .noSuchFileOrDirectory:
            self.init(
                cause, "the kernel has the device, and \(path) is missing",
                remedy: "in a container, start it with --device \(path); elsewhere mount devtmpfs on /dev")
        case .noSuchAddressOrDevice, .operationNotSupportedByDevice:
            self.init(cause, "the device is gone, and its file is still there", remedy: "remove \(path)")
        default:
            self.init(cause, "cannot be opened: \(cause)", remedy: "look for the driver's words in dmesg")
        }
    }
}

extension Obstacle: CustomStringConvertible {
    public var description: String { reason }
}

/// A file that may not be opened, and everything that decides who may.
struct Denial {
    let path: String
    let owner: FileOwner?
    /// The account of the owner's group, nil where the database does not know the number.
    let group: GroupAccount?
    let process: ProcessIdentity

    var obstacle: Obstacle {
        guard let owner else {
            return Obstacle(.permissionDenied, "permission denied: its folder is closed", remedy: "run as root")
        }
        guard process.user != 0, !process.groups.contains(owner.group) else { return forbiddenDespiteRights(owner) }
        guard owner.mode & 0o060 == 0o060, owner.group != 0 else { return rootsAlone(owner) }
        return groups(owner)
    }

    private func groups(_ owner: FileOwner) -> Obstacle {
        let name = group?.name ?? "number \(owner.group)"
        let user = process.userName ?? "this user"
        if let group, let name = process.userName, group.members.contains(name) {
            return Obstacle(
                .permissionDenied, "permission denied: group \(group.name), which \(name) joined after this login",
                remedy: "log in again, or run `newgrp \(group.name)`")
        }
        return Obstacle(
            .permissionDenied, "permission denied: group \(name), and \(user) is not in it",
            remedy: "sudo usermod -aG \(group?.name ?? "\(owner.group)") \(process.userName ?? "$USER")"
                + ", then log in again")
    }

    private func rootsAlone(_ owner: FileOwner) -> Obstacle {
        Obstacle(
            .permissionDenied, "permission denied: root's alone (\(words(owner)))",
            remedy: "run as root, or give \(path) to a group by a udev rule")
    }

    private func forbiddenDespiteRights(_ owner: FileOwner) -> Obstacle {
        if process.user != 0, owner.mode & 0o060 != 0o060 { return rootsAlone(owner) }
        return Obstacle(
            .permissionDenied, "permission denied, although \(words(owner)) allows it",
            remedy: "a container or a security module forbids it: start the container with --device \(path)")
    }

    private func words(_ owner: FileOwner) -> String {
        "group \(group?.name ?? "\(owner.group)"), mode 0\(String(owner.mode, radix: 8))"
    }
}
