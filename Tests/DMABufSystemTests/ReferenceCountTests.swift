// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("References, read quickly", .leavesNoDescriptor)
struct ReferenceCountTests {
    private static let head = "pos:\t0\nflags:\t02\nmnt_id:\t14\nino:\t7\nsize:\t4096\n"

    /// Whole, byte by byte, and in two pieces at every place: a read may end anywhere.
    private func parse(_ text: String) -> Set<Int?> {
        let bytes = Array(text.utf8)
        var results: Set<Int?> = [ReferenceCounts.parse([bytes]), ReferenceCounts.parse(bytes.map { [$0] })]
        for place in bytes.indices {
            results.insert(ReferenceCounts.parse([Array(bytes[..<place]), Array(bytes[place...])]))
        }
        return results
    }

    @Test func theFirstCountIsIt() {
        #expect(parse(Self.head + "count:\t3\nexp_name:\tudmabuf\nname:\tframe\n") == [3])
        #expect(parse("count:\t3\ncount:\t1\n") == [3])
        #expect(parse("cound:\t9\ncoun\ncount\ncountcount:8\ncount: \t 12\n") == [12])
        #expect(parse("nam\nnamed:\t1\ncount:\t4\n") == [4])
        #expect(ReferenceCounts.parse([Array("count:\t5".utf8)]) == 5)
    }

    @Test(arguments: [
        "name:\tx\ncount:\t1\n", "exp_name:\tx\nname:count:\t1\n", "name:\ncount:\t1\n", "xcount:\t1\n",
        " count:\t1\n", "count:\n", "count:\t\n", "count:\t-1\n", "count:\t1x\n", "count:\t99999999999999999999\n",
        "", "\n\n", "count", "a\u{0}count:\t1\n", "lock:\t1: count:\t1\n",
    ])
    func whatIsNoCountIsNone(text: String) { #expect(parse(text) == [nil]) }

    @Test func bothReadersAgree() throws {
        var random = SplitMix64(seed: 20_261_124)
        let parts = ["count:", "name:", "exp_name:", "\t", " ", "\n", "1", "42", "x", "n", "c", "size:\t4096\n"]
        for _ in 0..<2000 {
            let text = (0..<12).map { _ in parts.randomElement(using: &random) ?? "" }.joined()
            let bytes = Array(text.utf8)
            let quick = ReferenceCounts.parse([bytes])
            // The other one goes on where the first count is no number, or is followed by blanks.
            if let quick { #expect(FDInfo(parsing: bytes).count == quick, "\(text.escapedForDisplay)") }
        }
    }

    @Test func otherFilesHaveNone() throws {
        let counts = try ReferenceCounts()
        #expect(try counts.count(of: MemFD.create(named: "count:\t7", byteCount: 1)) == nil)
        #expect(try counts.count(of: EventFD().descriptor) == nil)
        #expect(try counts.count(of: PidFD(OwnProcess.processID).descriptor) == nil)
    }
}

@Suite("References on a real kernel", .leavesNoDescriptor, .requires("udmabuf"))
struct KernelCountTests {
    private func buffer() throws(Errno) -> Descriptor {
        let memory = try MemFD.create(named: "test", byteCount: 4096)
        try MemFD.addSeals(memory, .shrink)
        return try UDMABuf().create(from: memory, byteCount: 4096)
    }

    @Test func everyHolderCounts() throws {
        let counts = try ReferenceCounts()
        let buffer = try buffer()
        #expect(try counts.count(of: buffer) == 1)
        do {
            let copy = try buffer.duplicate()
            #expect(try counts.count(of: buffer) == 2)
            let mapping = try MemoryMapping(buffer, byteCount: 4096, writable: false)
            #expect(try counts.count(of: copy) == 3)
            let pair = try UnixSocket.pair()
            #expect(try pair.first.trySend([1].span, with: copy) == .sent)
            #expect(try counts.count(of: buffer) == 4)
            #expect(mapping.byteCount == 4096)
            _ = copy.numberForDisplay
        }
        #expect(try counts.count(of: buffer) == 1)
        #expect(try FDInfo(ofOwn: buffer).count == 1)
    }

    @Test(arguments: ["x\ncount:\t77", "\ncount:\t77\n", "name:\ncount:\t77", "count:\t77"])
    func aNameIsNoCount(name: String) throws {
        let counts = try ReferenceCounts()
        let buffer = try buffer()
        try DMABufIoctl.setName(buffer, name)
        #expect(try counts.count(of: buffer) == 1)
    }

    /// Each lock is a line before the count, any holder can take many, and they outlive it.
    @Test func locksOfAHolderDoNotHideIt() throws {
        let counts = try ReferenceCounts()
        let buffer = try buffer()
        var list = DescriptorList()
        try list.appendDuplicate(of: buffer)
        for locks in [100, 2000] {
            try Self.lock(list, locks)
            #expect(try counts.count(of: buffer) == 2, "ours and the list's, and no other process has it")
        }
    }

    @Test func norWhatItIs() async throws {
        await #expect(processExitsWith: .success) {
            var list = DescriptorList()
            try list.append(KernelCountTests().buffer())
            try Self.lock(list, 2000)
            // The first dma-buf that this process sees.
            guard try list.kind(at: 0) == .dmaBuf, let descriptor = list.takeFirst(),
                try FDInfo(ofDMABuf: descriptor).exporterName == "udmabuf"
            else { throw Errno.badMessage }
        }
    }

    private static func lock(_ list: borrowing DescriptorList, _ count: Int) throws {
        let script = """
            import fcntl, os, struct, sys
            for place in range(0, 2 * int(sys.argv[1]), 2):
                fcntl.fcntl(3, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, 0, place, 1, 0))
            print(len(open("/proc/self/fdinfo/3").read()))
            """
        let run = try Running(["python3", "-c", script, "\(count)"], descriptors: list).finish()
        guard run.status == 0, (Int(run.output.dropLast()) ?? 0) > count * 20 else { throw Errno.badMessage }
    }
}
