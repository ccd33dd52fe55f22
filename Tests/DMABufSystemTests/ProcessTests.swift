// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Child processes", .leavesNoDescriptor)
struct ProcessTests {
    private func start(_ script: String, _ descriptors: borrowing DescriptorList = DescriptorList()) throws
        -> ChildProcess
    {
        try ChildProcess(
            ["sh", "-c", CommandWord(script)], environment: ["PATH=/bin:/usr/bin"], descriptors: descriptors)
    }

    @Test func exitStatusAndSignalAreTold() throws {
        #expect(try start("exit 7").wait(until: .after(.seconds(10))) == .exited(7))
        let killed = try #require(try start("kill -9 $$").wait(until: .after(.seconds(10))))
        #expect(killed == .killed(signal: 9))
        #expect(killed.status == 137)
    }

    @Test func aWaitEnds() throws {
        let child = try start("exec sleep 60")
        #expect(try child.wait(until: .after(.milliseconds(20))) == nil)
        try child.send(.kill)
        #expect(try child.wait(until: .after(.seconds(10))) == .killed(signal: 9))
    }

    @Test func somethingElseCanEndTheWait() throws {
        let signals = try SignalFD([.terminate])
        let other = try EventFD()
        let child = try start("exec sleep 60")
        try other.signal()
        let soon = Deadline.after(.seconds(20))
        #expect(try child.wait(forwarding: signals, unless: other.descriptor, until: soon) == nil)
        #expect(other.drain() == 1)
        #expect(try child.wait(forwarding: signals, unless: other.descriptor, until: .now()) == nil)
        try child.send(.kill)
        #expect(try child.wait(forwarding: signals, unless: other.descriptor, until: soon) == .killed(signal: 9))
    }

    @Test func itsPidFDTellsItsEnd() throws {
        let child = try start("exec sleep 60")
        let pidfd = try child.duplicatePidFD()
        #expect(try Poll.wait(pidfd, for: .readable, until: .now()).isEmpty)
        try child.send(.kill)
        #expect(try Poll.wait(pidfd, for: .readable, until: .after(.seconds(10))) == .readable)
        _ = try child.wait(until: .after(.seconds(10)))
    }

    @Test func aMissingCommandIsAnError() {
        #expect(throws: Errno.noSuchFileOrDirectory) {
            _ = try ChildProcess(["/nonexistent/x"], environment: [], descriptors: DescriptorList()).processID
        }
    }

    /// From number 3 on, in order, whatever numbers they have here; and nothing else of ours.
    @Test func exactlyTheListIsInherited() throws {
        var list = DescriptorList()
        var links: [String] = []
        for index in 0..<5 {
            let file = try MemFD.create(named: "inherited-\(index)", byteCount: 1)
            links.append("/memfd:inherited-\(index)")
            list.append(file)
        }
        let check = """
            for i in 0 1 2 3 4; do
                case $(readlink /proc/self/fd/$((i + 3))) in /memfd:inherited-$i*) ;; *) exit 1;; esac
            done
            [ ! -e /proc/self/fd/8 ]
            """
        #expect(try start(check, list).wait(until: .after(.seconds(10))) == .exited(0))
    }

    @Test func blockedSignalsAreTheChildsAgain() throws {
        let signals = try SignalFD([.terminate])
        let child = try start("exec sleep 60")
        try child.send(.terminate)
        #expect(try child.wait(until: .after(.seconds(10))) == .killed(signal: 15))
        #expect(signals.next() == nil)
    }
}

@Suite("Events", .leavesNoDescriptor)
struct EventTests {
    @Test func eventfdCounts() throws {
        let event = try EventFD()
        #expect(event.drain() == nil)
        try event.signal()
        try event.signal()
        #expect(try !Poll.wait(event.descriptor, for: .readable, until: .now()).isEmpty)
        #expect(event.drain() == 2)
        #expect(try Poll.wait(event.descriptor, for: .readable, until: .now()).isEmpty)
    }

    @Test func timerGoesOffAndCanBeDisarmed() throws {
        let timer = try TimerFD()
        try timer.set(.after(.milliseconds(5)))
        #expect(try !Poll.wait(timer.descriptor, for: .readable, until: .after(.seconds(5))).isEmpty)
        try timer.set(.after(.seconds(60)))
        try timer.set(nil)
        #expect(try Poll.wait(timer.descriptor, for: .readable, until: .after(.milliseconds(5))).isEmpty)
    }

    @Test func pollerTellsWhichOne() throws {
        let poller = try Poller()
        let first = try EventFD()
        let second = try EventFD()
        try poller.add(first.descriptor, token: 1)
        try poller.add(second.descriptor, token: 2)
        #expect(try poller.next(until: .after(.milliseconds(5))) == nil)
        try second.signal()
        #expect(try poller.next(until: .after(.seconds(5))) == 2)
        try poller.remove(second.descriptor)
        #expect(try poller.next(until: .after(.milliseconds(5))) == nil)
        #expect(throws: Errno.fileExists) { try poller.add(first.descriptor, token: 3) }
    }

    @Test func aWaitForOneEndsWithAnother() throws {
        let meant = try EventFD()
        let stop = try EventFD()
        let soon = Deadline.after(.milliseconds(5))
        #expect(try Poll.wait(meant.descriptor, for: .readable, until: soon, unless: stop.descriptor).isEmpty)
        try meant.signal()
        let later = Deadline.after(.seconds(10))
        #expect(try Poll.wait(meant.descriptor, for: .readable, until: later, unless: stop.descriptor) == .readable)
        try stop.signal()
        #expect(try Poll.wait(meant.descriptor, for: .readable, until: later, unless: stop.descriptor).isEmpty)
    }
}

@Suite("Memory files", .leavesNoDescriptor)
struct MemFDTests {
    @Test func sealsHold() throws {
        let file = try MemFD.create(named: "test", byteCount: 8192)
        #expect(try MemFD.seals(of: file) == [])
        try MemFD.addSeals(file, [.shrink, .grow, .seal])
        #expect(try MemFD.seals(of: file) == [.shrink, .grow, .seal])
        #expect(throws: Errno.notPermitted) { try MemFD.addSeals(file, .write) }
        #expect(try file.seekableByteCount() == 8192)
    }

    @Test func onlyMemoryFilesHaveSeals() throws {
        #expect(throws: Errno.invalidArgument) { _ = try MemFD.seals(of: Descriptor.open("/dev/null", .readOnly)) }
    }

    @Test func mappingShowsWhatWasWritten() throws {
        let file = try MemFD.create(named: "test", byteCount: 4096)
        var writer = try MemoryMapping(file, byteCount: 4096, writable: true)
        let reader = try MemoryMapping(file, byteCount: 4096, writable: false)
        writer.withMutableBytes { $0.storeBytes(of: 0xab, toByteOffset: 17, as: UInt8.self) }
        #expect(reader.withBytes { Span<UInt8>(_bytes: $0)[17] } == 0xab)
    }

    @Test func bytesAreCopiedWhereTheyHaveRoom() throws {
        let file = try MemFD.create(named: "test", byteCount: 4096)
        var target = try MemoryMapping(file, byteCount: 4096, writable: true)
        let source = try MemoryMapping(file, byteCount: 4096, writable: false)
        target.withMutableBytes { $0.storeBytes(of: 0x1234_5678, as: UInt32.self) }
        source.withBytes { bytes in
            target.withMutableBytes {
                $0.store(bytes.extracting(first: 4), at: 4092)
                $0.store(bytes.extracting(first: 0), at: 4096)
            }
        }
        #expect(source.withBytes { $0.extracting(last: 4).elementsEqual($0.extracting(first: 4)) })
    }

    @Test func aFileIsReadIntoMemory() throws {
        let file = try MemFD.create(named: "test", byteCount: 4096)
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        try Descriptor.open("\(folder)/content", .create).write("0123456789")
        let source = try Descriptor.open("\(folder)/content", .readOnly)
        var mapping = try MemoryMapping(file, byteCount: 4096, writable: true)
        func read(_ range: Range<Int>) throws -> Int {
            try mapping.withMutableBytes { (bytes) throws(Errno) in try source.read(into: &bytes, range) }
        }
        #expect(try read(0..<4) == 4)
        #expect(try read(4000..<4096) == 6)
        #expect(try read(0..<4096) == 0)
        #expect(mapping.withBytes { $0.extracting(4000..<4006).elementsEqual("456789".utf8) })
    }

    @Test func sizesThatCannotBeAreErrors() {
        #expect(throws: Errno.fileTooLarge) { _ = try MemFD.create(named: "x", byteCount: .max).identity() }
    }
}

extension RawSpan {
    fileprivate func elementsEqual(_ other: RawSpan) -> Bool {
        byteCount == other.byteCount
            && (0..<byteCount).allSatisfy { Span<UInt8>(_bytes: self)[$0] == Span<UInt8>(_bytes: other)[$0] }
    }

    fileprivate func elementsEqual(_ text: String.UTF8View) -> Bool {
        let bytes = Array(text)
        return byteCount == bytes.count && bytes.indices.allSatisfy { Span<UInt8>(_bytes: self)[$0] == bytes[$0] }
    }
}
