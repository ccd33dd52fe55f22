// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("What a descriptor is", .leavesNoDescriptor)
struct DescriptorKindTests {
    @Test func theKindsThatAreKnown() throws {
        #expect(try DescriptorKind(of: MemFD.create(named: "x", byteCount: 1)) == .memfd)
        #expect(try DescriptorKind(of: EventFD().descriptor) == .eventfd)
        #expect(try DescriptorKind(of: PidFD(OwnProcess.processID).descriptor) == .pidfd)
    }

    @Test(arguments: ["/dev/null", "/dev/zero", "/etc/passwd", "/", "/proc/self/status", "/proc/self/maps"])
    func everythingElseIsOther(path: String) throws {
        #expect(try DescriptorKind(of: Descriptor.open(path, .readOnly)) == .other(path == "/" ? "/" : resolved(path)))
    }

    @Test func socketsAndTimersAreOther() throws {
        #expect(try DescriptorKind(of: TimerFD().descriptor) == .other("anon_inode:[timerfd]"))
        let pair = try UnixSocket.pair()
        let kind = try DescriptorKind(of: pair.first.descriptor)
        #expect("\(kind)".contains("socket:["))
    }

    /// A file on disk can be called like a dma-buf or a memfd; its fdinfo and seals tell.
    @Test(.requires("root"), arguments: ["/dmabuf:x", "/memfd:x (deleted)", "/dmabuf:"])
    func aPlainFileWithSuchANameIsOther(path: String) throws {
        let file = try Descriptor.open(path, .create)
        defer { try? FileType.remove(path) }
        #expect(try DescriptorKind(of: file) == .other(path))
    }

    @Test func aMemfdNamedLikeADMABufIsAMemfd() throws {
        #expect(try DescriptorKind(of: MemFD.create(named: "/dmabuf:x", byteCount: 1)) == .memfd)
    }

    private func resolved(_ path: String) -> String {
        path.hasPrefix("/proc/self") ? "/proc/\(OwnProcess.processID)" + path.dropFirst(10) : path
    }
}
