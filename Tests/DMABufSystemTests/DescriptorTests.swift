// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Descriptors are owned", .leavesNoDescriptor)
struct DescriptorTests {
    @Test func duplicateIsTheSameFile() throws {
        let file = try MemFD.create(named: "test", byteCount: 4096)
        let copy = try file.duplicate()
        #expect(try file.identity() == copy.identity())
        #expect(file.numberForDisplay != copy.numberForDisplay)
    }

    @Test func inheritedNumberMustBeOpen() {
        #expect(throws: Errno.badFileDescriptor) { _ = try Descriptor.inherited(-1) }
        #expect(throws: Errno.badFileDescriptor) { _ = try Descriptor.inherited(987_654) }
        #expect(throws: Errno.badFileDescriptor) { _ = try Descriptor.inherited(Int.max) }
    }

    @Test func closeSaysWhatTheKernelSaid() throws {
        let file = try MemFD.create(named: "test", byteCount: 1)
        try file.close()
    }

    @Test func aPrivateFileIsNewAndNobodyElses() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        try Descriptor.open("\(folder)/secret", .createPrivate).write("x")
        #expect(try FileType.permissions("\(folder)/secret") == 0o600)
        #expect(throws: Errno.fileExists) { try Descriptor.open("\(folder)/secret", .createPrivate).write("y") }
        #expect(Sysfs.text("\(folder)/secret") == "x")
    }

    @Test func listHandsOutInOrderAndClosesTheRest() throws {
        var list = DescriptorList()
        var inodes: [UInt64] = []
        for _ in 0..<9 {
            let file = try MemFD.create(named: "test", byteCount: 1)
            inodes.append(try file.identity().inode)
            list.append(file)
        }
        #expect(list.count == 9)
        for expected in inodes.prefix(6) {
            guard let file = list.takeFirst() else { throw Errno.badFileDescriptor }
            #expect(try file.identity().inode == expected)
        }
        #expect(list.count == 3)
    }

    @Test func emptyListHandsOutNothing() {
        var list = DescriptorList()
        let isNone = list.takeFirst() == nil
        #expect(isNone)
        #expect(list.count == 0)
    }
}

@Suite("Deadlines")
struct DeadlineTests {
    @Test func durationsAreClamped() {
        #expect(Duration.seconds(-5).clampedNanoseconds == 0)
        #expect(Duration.nanoseconds(7).clampedNanoseconds == 7)
        #expect(Duration.seconds(Int64.max).clampedNanoseconds == UInt64(Int64.max))
    }

    @Test func aPastDeadlineHasNothingLeft() {
        #expect(Deadline.after(.seconds(-1)).hasPassed)
        #expect(Deadline(nanoseconds: 0).remaining == .zero)
        #expect(!Deadline.after(.seconds(60)).hasPassed)
        #expect(Deadline.after(.seconds(Int64.max)) > .now())
    }
}
