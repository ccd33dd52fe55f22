// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("Descriptors of strangers", .leavesNoDescriptor)
struct AdoptionTests {
    private func code(_ descriptor: consuming Descriptor) -> DMABufError.Code? {
        do throws(DMABufError) {
            _ = try DMABuffer(adopting: descriptor)
            return nil
        } catch { return error.code }
    }

    @Test func filesAndPipesAreNoDMABufs() throws {
        for path in ["/dev/null", "/dev/zero", "/etc/passwd", "/"] {
            #expect(code(try Descriptor.open(path, .readOnly)) == .notADMABuf)
        }
        #expect(code(try EventFD().descriptor.duplicate()) == .notADMABuf)
        #expect(code(try UnixSocket.pair().first.descriptor.duplicate()) == .notADMABuf)
        #expect(code(try PidFD(OwnProcess.processID).intoDescriptor()) == .notADMABuf)
    }

    /// Its owner could cut it off under a reader, who would get a SIGBUS.
    @Test func aMemfdThatMayShrinkIsRefused() throws {
        #expect(code(try MemFD.create(named: "x", byteCount: 4096)) == .unsealed)
        let sealed = try MemFD.create(named: "x", byteCount: 4096)
        try MemFD.addSeals(sealed, .shrink)
        #expect(code(sealed) == nil)
    }

    @Test func anEmptyMemfdIsRefused() throws {
        let empty = try MemFD.create(named: "x", byteCount: 0)
        try MemFD.addSeals(empty, .shrink)
        #expect(code(empty) == .invalid)
    }

    @Test func aDescriptionThatSpeaksOfMoreIsRefused() throws {
        let buffer = try Backends.bytes(8192, from: "memfd")
        #expect(throws: DMABufError.self) { _ = try DescribedBuffer(.bytes(8193), memory: [buffer]) }
        #expect(throws: DMABufError.self) { _ = try DescribedBuffer(.bytes(8192), memory: []) }
        #expect(throws: DMABufError.self) { _ = try DescribedBuffer(.bytes(8192), memory: [buffer, buffer]) }
        _ = try DescribedBuffer(.bytes(100), memory: [buffer])
    }

    @Test func aStandInHasNoKernelFences() throws {
        let buffer = try Backends.bytes(4096, from: "memfd")
        #expect(try buffer.fence(waitingBefore: .write) == nil)
        let fence = try Fence(adopting: EventFD().descriptor.duplicate())
        #expect(throws: DMABufError.self) { try buffer.add(fence, as: .write) }
        #expect(try ImporterBackend.open("cpu").exclusion(of: buffer) == nil)
    }
}
