// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// One of two processes that pass buffers without a registry, as any program would with this library. `Tests/Bench/passing.c`
/// is the same in C, and starts both.
///
/// It does a block of operations for each line on its standard input, and then writes a line: the sum of the times at which
/// they began, or for who takes were over, in nanoseconds of `CLOCK_MONOTONIC`. Who offers waits, for a line more, until who
/// takes is done with the buffer before.
struct PassingEnd: ~Copyable {
    static let block = 100
    private let commands: Descriptor
    private var peer: BufferPeer

    /// Inherited is one end of a pair of sockets as number 3.
    init() throws {
        let commands = try Descriptor.inherited(0)
        peer = try BufferPeer(UnixSocket(adopting: .inherited(3)), until: .after(Self.limit))
        self.commands = commands
    }

    /// Share to first byte: memory is made and offered.
    mutating func offerFresh(byteCount: UInt64) throws {
        let exporter = MemFDExporter()
        try offerInBlocks { (end) throws in
            let begun = Deadline.now()
            try end.peer.offer(exporter.export(.bytes(byteCount)), for: .read, until: begun.advanced(by: Self.limit))
            return begun.nanoseconds
        }
    }

    /// A batch: the same three memories and sixteen fences again and again.
    mutating func offerMany() throws {
        let page = MemFDExporter()
        let memory = try (0..<3).map { _ in try page.export(.bytes(4096)).memory[0] }
        let layout = ImageLayout(
            width: 32, height: 32, fourcc: PixelFormat("YU12")!.fourcc, modifier: .linear,
            planes: (0..<3).map { ImageLayout.Plane(memory: $0, offset: 0, stride: 32) })
        let description = BufferDescription(sizes: memory.map(\.byteCount), content: .image(layout))
        let buffer = try DescribedBuffer(description, memory: memory)
        let fences = try (0..<16).map { _ in PromisedFence(try EventFence().fence, as: .read) }
        try offerInBlocks { (end) throws in
            let begun = Deadline.now()
            try end.peer.offer(buffer, for: .read, fences: fences, until: begun.advanced(by: Self.limit))
            return begun.nanoseconds
        }
    }

    /// Takes, maps, reads a byte.
    mutating func takeAndRead() throws {
        try takeInBlocks { (end, deadline) throws in
            let offer = try end.peer.nextOffer(until: deadline)
            let attachment = try CPUImporter().attach(offer.buffer.memory[0], for: .read)
            let mapping = try attachment.map()
            let first = try mapping.withReadAccess { Span<UInt8>(_bytes: $0)[0] }
            precondition(first == 0, "fresh memory is not zeroed")
            // What came is let go behind the time, as in C.
            return withExtendedLifetime(offer) { Deadline.now().nanoseconds }
        }
    }

    /// Takes and lets go at once.
    mutating func takeAndDrop() throws {
        try takeInBlocks { (end, deadline) throws in
            _ = try end.peer.nextOffer(until: deadline)
            return Deadline.now().nanoseconds
        }
    }

    private mutating func offerInBlocks(_ operation: (inout PassingEnd) throws -> UInt64) throws {
        while try hasTurn() {
            var sum: UInt64 = 0
            for index in 0..<Self.block where try index == 0 || hasTurn() { sum &+= try operation(&self) }
            try StandardStream.output.write("\(sum)\n")
        }
    }

    /// Number 4 is the other end of the offerer's standard input.
    private mutating func takeInBlocks(_ operation: (inout PassingEnd, Deadline) throws -> UInt64) throws {
        let turns = try UnixSocket(adopting: .inherited(4))
        let line = [UInt8(ascii: "\n")]
        while try hasTurn() {
            var sum: UInt64 = 0
            for index in 0..<Self.block {
                let deadline = Deadline.after(Self.limit)
                if index > 0 { try turns.send(line.span, until: deadline) }
                sum &+= try operation(&self, deadline)
            }
            try StandardStream.output.write("\(sum)\n")
        }
    }

    /// Waits for a line; false once nobody will write one.
    private func hasTurn() throws -> Bool {
        var line: [8 of UInt8] = .init(repeating: 0)
        var span = line.mutableSpan
        var bytes = MutableRawSpan(_elements: &span)
        return try commands.read(into: &bytes, 0..<8) > 0
    }

    private static let limit: Duration = .seconds(10)
}
