// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import Testing

@testable import DMABufDevices

@Suite("Why a device cannot be opened, and what to do")
struct ObstacleTests {
    static let kvm = FileOwner(user: 0, group: 108, mode: 0o660)
    static let alice = ProcessIdentity(user: 1000, userName: "alice", groups: [1000])

    func denial(
        _ owner: FileOwner?, _ group: GroupAccount? = GroupAccount(name: "kvm", members: []),
        _ process: ProcessIdentity = alice
    ) -> Obstacle {
        Denial(path: "/dev/udmabuf", owner: owner, group: group, process: process).obstacle
    }

    @Test("the group that the file really has is named, and how to join it")
    func group() {
        let obstacle = denial(Self.kvm)
        #expect(obstacle.reason == "permission denied: group kvm, and alice is not in it")
        #expect(obstacle.remedy == "sudo usermod -aG kvm alice, then log in again")
    }

    @Test("a group without a name, and a user without one")
    func nameless() {
        let obstacle = denial(Self.kvm, nil, ProcessIdentity(user: 4242, userName: nil, groups: []))
        #expect(obstacle.reason == "permission denied: group number 108, and this user is not in it")
        #expect(obstacle.remedy == "sudo usermod -aG 108 $USER, then log in again")
    }

    @Test("who joined the group after logging in has to log in again")
    func joinedLater() {
        let obstacle = denial(Self.kvm, GroupAccount(name: "kvm", members: ["bob", "alice"]))
        #expect(obstacle.reason.hasSuffix("which alice joined after this login"))
        #expect(obstacle.remedy == "log in again, or run `newgrp kvm`")
    }

    @Test(
        "root's own files are no matter of groups",
        arguments: [
            FileOwner(user: 0, group: 0, mode: 0o600), FileOwner(user: 0, group: 0, mode: 0o660),
            FileOwner(user: 0, group: 108, mode: 0o600), FileOwner(user: 0, group: 108, mode: 0o640),
        ])
    func rootsAlone(owner: FileOwner) {
        let obstacle = denial(owner)
        #expect(obstacle.reason.hasPrefix("permission denied: root's alone"))
        #expect(!obstacle.remedy.contains("usermod"))
    }

    @Test("a member of a group that may not write is told of the mode")
    func memberOfPowerlessGroup() {
        let member = ProcessIdentity(user: 1000, userName: "alice", groups: [108])
        #expect(
            denial(FileOwner(user: 0, group: 108, mode: 0o640), .init(name: "kvm", members: []), member).reason
                == "permission denied: root's alone (group kvm, mode 0640)")
    }

    @Test("where the rights are there, a container or a security module is the cause")
    func forbidden() {
        let member = ProcessIdentity(user: 1000, userName: "alice", groups: [108])
        let root = ProcessIdentity(user: 0, userName: "root", groups: [0])
        for process in [member, root] {
            #expect(denial(Self.kvm, .init(name: "kvm", members: []), process).remedy.contains("--device /dev/udmabuf"))
        }
    }

    @Test("a folder that is closed hides the owner")
    func closedFolder() {
        #expect(denial(nil).remedy == "run as root")
    }

    @Test(
        "other errors",
        arguments: [
            (Errno.notPermitted, "--device /dev/x"), (.noSuchFileOrDirectory, "devtmpfs"),
            (.noSuchAddressOrDevice, "remove /dev/x"), (.operationNotSupportedByDevice, "remove /dev/x"),
            (.tooManyOpenFiles, "dmesg"),
        ])
    func others(cause: Errno, remedy: String) {
        let obstacle = Obstacle(opening: "/dev/x", cause, owner: nil, process: Self.alice)
        #expect(obstacle.cause == cause)
        #expect(obstacle.remedy.contains(remedy))
    }

    @Test("this process and /dev/null as the kernel has them")
    func system() throws {
        let process = ProcessIdentity.current()
        #expect(process.user == OwnProcess.userID)
        let owner = try FileOwner(of: "/dev/null")
        #expect(owner == FileOwner(user: 0, group: 0, mode: 0o666))
        #expect(GroupAccount(0)?.name == "root")
        #expect(GroupAccount(4_000_000_000) == nil)
        try FileAccess.checkReadWrite("/dev/null")
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileAccess.checkReadWrite("/dev/no such") }
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileOwner(of: "/dev/no such") }
    }
}
