// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Control pages", .leavesNoDescriptor)
struct ControlPageTests {
    /// What a stranger with the file can do: read, and nothing else.
    private static let attack = """
        import ctypes, mmap, os, sys, time
        page = mmap.mmap(3, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
        assert page[8:16] == bytes([5, 0, 0, 0, 1, 0, 0, 0]), page[8:16]
        libc = ctypes.CDLL(None, use_errno=True)
        def refused(what, attempt):
            try: attempt()
            except (OSError, ValueError): return
            sys.exit(what)
        def punch():
            if libc.fallocate(3, 3, ctypes.c_long(0), ctypes.c_long(4096)) != 0: raise OSError(ctypes.get_errno())
        refused("mapped", lambda: mmap.mmap(3, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
        refused("mapped again", lambda: os.open("/proc/self/fd/3", os.O_RDWR) and mmap.mmap(
            os.open("/proc/self/fd/3", os.O_RDWR), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
        refused("written", lambda: os.pwrite(3, b"x", 0))
        refused("shrunk", lambda: os.ftruncate(3, 0))
        refused("grown", lambda: os.ftruncate(3, 8192))
        refused("punched", punch)
        end = time.monotonic() + 20
        while page[0] != 9:
            if time.monotonic() > end: sys.exit("not seen")
        """

    @Test func anotherProcessSeesTheWordsAndCanChangeNothing() throws {
        let published = try WritablePage.create(named: "page", byteCount: 4096)
        published.page.storeRelease(UInt64(1 << 32 | 5), at: 8)
        var list = DescriptorList()
        try list.appendDuplicate(of: published.file)
        let running = try Running(["python3", "-c", Self.attack], descriptors: list)
        published.page.storeRelease(UInt64(9), at: 0)
        let run = try running.finish()
        #expect(run.status == 0, "\(run.errors)")
        #expect(published.page.words.loadRelaxed64(at: 8) == 1 << 32 | 5)
    }

    @Test func aReaderMapsWhatIsSealed() throws {
        let published = try WritablePage.create(named: "page", byteCount: 65536)
        let reader = try ReadOnlyPage(mapping: published.file, byteCount: 65536)
        #expect(try MemFD.seals(of: published.file) == [.shrink, .grow, .futureWrite, .seal])
        #expect(reader.words.loadAcquire64(at: 65528) == 0)
        published.page.storeRelease(UInt64.max - 1, at: 65528)
        #expect(reader.words.loadAcquire64(at: 65528) == UInt64.max - 1)
        let before = published.page.addRelaxed(UInt64(1), at: 65528)
        let next = published.page.addSequential(UInt64(2), at: 65528)
        #expect(before == UInt64.max - 1 && next == UInt64.max)
        #expect(reader.words.loadRelaxed64(at: 65528) == 1)
        published.page.storeRelease(UInt32(7), at: 12)
        let one = published.page.addRelaxed(UInt32(1), at: 12)
        let two = published.page.addSequential(UInt32.max, at: 12)
        #expect(one == 7 && two == 8)
        MemoryFence.sequential()
        #expect(reader.words.loadAcquire32(at: 12) == 7 && reader.words.loadRelaxed32(at: 12) == 7)
        #expect(reader.words.loadAcquire64(at: 8) == 7 << 32, "its neighbour is untouched")
        #expect(throws: Errno.notPermitted) {
            _ = try WritablePage(mapping: published.file, byteCount: 65536).words.byteCount
        }
    }

    @Test func aPeersOwnPageIsWrittenThereAndReadHere() throws {
        let file = try WritablePage.createForPeer(named: "own", byteCount: 4096)
        let writer = try WritablePage(mapping: file, byteCount: 4096)
        let reader = try ReadOnlyPage(mapping: file, byteCount: 4096, sealed: ReadOnlyPage.ofPeer)
        writer.addSequential(UInt64(3), at: 16)
        #expect(reader.words.loadAcquire64(at: 16) == 3)
        #expect(throws: Errno.invalidArgument) {
            _ = try ReadOnlyPage(mapping: file, byteCount: 4096).words.byteCount
        }
        #expect(throws: Errno.notPermitted) { try MemFD.addSeals(file, .futureWrite) }
    }

    @Test(arguments: [[], [.shrink], [.grow], [.shrink, .grow, .seal]] as [MemFD.Seals])
    func whatLacksASealIsNotMapped(seals: MemFD.Seals) throws {
        let file = try MemFD.create(named: "page", byteCount: 4096)
        try MemFD.addSeals(file, seals)
        #expect(throws: Errno.invalidArgument) { _ = try ReadOnlyPage(mapping: file, byteCount: 4096).words.byteCount }
        let isEnough = seals.isSuperset(of: [.shrink, .grow])
        #expect(((try? WritablePage(mapping: file, byteCount: 4096).words.byteCount) != nil) == isEnough)
    }

    @Test func whatHasAnotherSizeOrKindIsNotMapped() throws {
        let published = try WritablePage.create(named: "page", byteCount: 4096)
        for byteCount in [-8, 0, 8, 4092, 4097, 8192] {
            #expect(throws: Errno.invalidArgument) {
                _ = try ReadOnlyPage(mapping: published.file, byteCount: byteCount).words.byteCount
            }
        }
        let null = try Descriptor.open("/dev/null")
        #expect(throws: Errno.invalidArgument) { _ = try ReadOnlyPage(mapping: null, byteCount: 8).words.byteCount }
        for byteCount in [0, -8, 9] {
            #expect(throws: Errno.invalidArgument) {
                _ = try WritablePage.create(named: "x", byteCount: byteCount).page.words.byteCount
            }
        }
    }

    @Test(arguments: [-8, 4, 4096, 4089, Int.max - 7, Int.min]) func noWordOutsideThePage(offset: Int) async {
        await #expect(processExitsWith: .failure) { [offset] in
            _ = try WritablePage.create(named: "page", byteCount: 4096).page.words.loadAcquire64(at: offset)
        }
    }

    @Test func aChildDoesNotInheritThePage() throws {
        let published = try WritablePage.create(named: "only-here", byteCount: 4096)
        let mapped = try ProcFS.mappings(of: Int(OwnProcess.processID)).filter { $0.path.contains("only-here") }
        #expect(mapped.count == 1)
        let range = "\(String(mapped[0].start, radix: 16))-"
        let lines = try Sysfs.bytes("/proc/self/smaps", limit: 64 << 20).split(separator: 0x0a)
        let flags = lines.drop { !$0.starts(with: range.utf8) }.first { $0.starts(with: "VmFlags:".utf8) }
        #expect(flags?.split(separator: 0x20).contains { $0.elementsEqual("dc".utf8) } == true, "it is not copied")
        _ = published.file.numberForDisplay
    }

    @Test func aWaitOnAReadOnlyPageIsWoken() throws {
        let published = try WritablePage.create(named: "page", byteCount: 4096)
        let woken = try EventFD()
        do {
            let waiter = try WorkerThread(named: "waiter") {
                guard let page = try? ReadOnlyPage(mapping: published.file, byteCount: 4096) else { return }
                let deadline = Deadline.after(.seconds(20))
                // The low half is waited for; the word is 1 << 33 first, and 1 at the end.
                while page.words.loadAcquire64(at: 24) != 1 {
                    guard (try? page.words.wait(at: 24, while: 0, until: deadline)) == true else { return }
                }
                try? woken.signal()
            }
            published.page.storeRelease(UInt64(1 << 33), at: 24)
            Clock.sleep(.milliseconds(20))
            published.page.storeRelease(UInt64(1), at: 24)
            try published.page.wake(at: 24)
            _ = consume waiter
        }
        #expect(woken.drain() == 1)
    }

    @Test func aWaitEndsAtItsDeadlineOrAtOnce() throws {
        let published = try WritablePage.create(named: "page", byteCount: 4096)
        let reader = try ReadOnlyPage(mapping: published.file, byteCount: 4096)
        let start = Deadline.now()
        #expect(try !reader.words.wait(at: 0, while: 0, until: .after(.milliseconds(20))))
        #expect(Deadline.now().nanoseconds - start.nanoseconds >= 20_000_000)
        #expect(try reader.words.wait(at: 0, while: 1, until: nil), "it is another value already")
        #expect(try !reader.words.wait(at: 4, while: 0, until: Deadline(nanoseconds: 0)))
        let count = try published.page.wake(at: 0)
        #expect(count == 0)
    }
}
