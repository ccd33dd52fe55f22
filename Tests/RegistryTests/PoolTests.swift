// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Frames through a few registered buffers: what the producer promises, and what readers therefore need not ask.
@Suite("Pools", .leavesNoDescriptor)
struct PoolTests {
    @Test(
        "whatever the order of events, a reader that keeps up gets every frame, in order and whole", arguments: 1...8)
    func random(seed: UInt64) throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 3 + Int(seed % 3))
        var consumer = try PoolConsumer(registry.socket)
        var random = SplitMix64(seed: seed)
        var held: [Int] = []
        var expected: UInt64?
        for _ in 0..<300 {
            switch random.next() % 8 {
            case 0, 1, 2: try producer.write()
            case 3, 4, 5:
                guard held.count < 2, let (frame, stamp) = try consumer.read() else { break }
                // The first is the newest that was whole; from then on each.
                #expect(stamp == expected ?? stamp)
                expected = stamp + 1
                held.append(frame)
            default:
                if !held.isEmpty { try consumer.letGo(held.removeFirst()) }
            }
        }
        #expect(expected ?? 0 > 40, "nothing moved")
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("what is taken is pinned, and a move is refused naming it; what is whole can move, and both go on there")
    func moves() throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 3)
        var consumer = try PoolConsumer(registry.socket)
        let refused = try registry.run("move", "cam.1", "--to", "memfd")
        #expect(refused.status == 4 && refused.errors.contains("pinned by attachment"), "\(refused)")
        try producer.write()
        // The first frame is whole, and its buffer is free to move.
        #expect(try registry.run("move", "cam.0", "--to", "memfd").status == 0)
        let (frame, stamp) = try #require(try consumer.read())
        #expect(frame == 0 && stamp == 0)
        // A device has it now.
        #expect(try registry.run("move", "cam", "--to", "memfd").status == 4)
        try consumer.letGo(frame)
        for round in 1...6 {
            try producer.write()
            let (frame, stamp) = try #require(try consumer.read())
            #expect(stamp == UInt64(round))
            try consumer.letGo(frame)
            try producer.go()
        }
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("a reader that ends well leaves nothing behind that has failed")
    func readerEnds() throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 3)
        var consumer = try PoolConsumer(registry.socket)
        try producer.write()
        let (frame, _) = try #require(try consumer.read())
        // It is kept until there is another.
        try consumer.letGo(frame)
        try consumer.finish()
        try wait { try registry.run("show", "cam.0", "--json").output.contains(#""attachments":1"#) }
        let waited = try registry.run("fence", "wait", "cam.0")
        #expect(waited.status == 0, "\(waited)")
        try producer.end()
        _ = try registry.stop()
    }

    @Test("who was stopped for longer than a fence may last promises again, and goes on")
    func stopped() throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 3)
        var consumer = try PoolConsumer(registry.socket)
        try producer.write()
        let (frame, _) = try #require(try consumer.read())
        Clock.sleep(.milliseconds(10_500))
        try producer.renew()
        try consumer.renew()
        // Its frame is kept again.
        for _ in 0..<4 { try producer.write() }
        #expect(try registry.run("fence", "list", "cam.\(frame)").output.contains("read"))
        try consumer.letGo(frame)
        while let (frame, _) = try consumer.read() { try consumer.letGo(frame) }
        try producer.write()
        #expect(try consumer.read() != nil)
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("a registry that answers late is waited for, as long as its reader says")
    func slow() throws {
        let registry = try RunningRegistry()
        let producer = try PoolProducer(registry.socket, count: 3)
        var consumer = try PoolConsumer(registry.socket)
        let daemon = registry.processID
        let pause = try Running(["sh", "-c", "kill -STOP \(daemon); sleep 2; kill -CONT \(daemon)"])
        Clock.sleep(.milliseconds(300))
        let begun = Deadline.now()
        let frame = try consumer.read()
        #expect(frame == nil && Deadline.now().nanoseconds - begun.nanoseconds > 1_000_000_000, "it was not stopped")
        #expect(try pause.finish().status == 0)
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("a damaged frame is passed over, and its buffer is good again with the next")
    func damaged() throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 4)
        var consumer = try PoolConsumer(registry.socket)
        for stamp in 0..<12 as Range<UInt64> {
            let isDamaged = stamp % 5 == 2
            try producer.write(isDamaged: isDamaged)
            guard let (frame, found) = try consumer.read() else {
                #expect(isDamaged)
                continue
            }
            #expect(!isDamaged && found == stamp)
            try consumer.letGo(frame)
        }
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test(
        "a producer that ends says so, one that dies does not, and what was whole is read first",
        arguments: [false, true])
    func ending(dies: Bool) throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 4)
        for _ in 0..<3 { try producer.write() }
        var consumer = try PoolConsumer(registry.socket)
        // It begins with the newest.
        #expect(try consumer.read()?.stamp == 2)
        try producer.write()
        if dies { producer.die() } else { try producer.end() }
        #expect(try consumer.read()?.stamp == 3)
        #expect(try consumer.read() == nil)
        #expect(consumer.end == (dies ? .died : .inGoodOrder))
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("promises hold for longer than one fence may")
    func renewal() throws {
        let registry = try RunningRegistry()
        var producer = try PoolProducer(registry.socket, count: 3)
        var consumer = try PoolConsumer(registry.socket)
        try producer.write()
        let (frame, _) = try #require(try consumer.read())
        try producer.write()
        try producer.write()
        let end = Deadline.after(.seconds(12))
        while !end.hasPassed {
            try producer.renew()
            try producer.go()
            try consumer.renew()
            Clock.sleep(.milliseconds(500))
        }
        // Nobody took the frame from the reader, and the last one is not told of yet.
        #expect(try consumer.read()?.stamp == 1)
        #expect(try consumer.read() == nil)
        try consumer.letGo(frame)
        try producer.go()
        #expect(try consumer.read()?.stamp == 2)
        try producer.end()
        _ = consume consumer
        _ = try registry.stop()
    }

    @Test("there is no pool of one buffer, and none that nobody made")
    func none() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: .patient)
        client.answersWithin = .seconds(20)
        let one = try MemFDExporter().export(.bytes(4096))
        #expect(throws: RegistryError.self) {
            _ = try PoolWriter([one], named: "cam", fixed: false, in: &client, until: .patient)
        }
        #expect(throws: RegistryError.self) {
            _ = try PoolReader("cam", pins: false, in: &client, until: .patient)
        }
        _ = try registry.stop()
    }
}

/// A stream under a registry that is killed: producer and reader are threads, for each has to come back by itself.
@Suite("Streams of a registry that is killed", .leavesNoDescriptor)
struct KilledStreamTests {
    private final class Stream: Sendable {
        let state = Mutex((isOver: false, read: UInt64(0), problem: String?.none))

        var isOver: Bool { state.withLock { $0.isOver || $0.problem != nil } }
        var read: UInt64 { state.withLock { $0.read } }

        func run(_ body: (Stream) throws -> Void) {
            do { try body(self) } catch { state.withLock { $0.problem = $0.problem ?? "\(error)" } }
        }

        func produce(_ producer: consuming PoolProducer) throws {
            while !isOver {
                try producer.write()
                try producer.renew()
                Clock.sleep(.milliseconds(1))
            }
            try producer.end()
        }

        func consume(_ consumer: consuming PoolConsumer) throws {
            var next: UInt64?
            while !isOver {
                try consumer.renew()
                guard let (index, stamp) = try consumer.read() else {
                    Clock.sleep(.milliseconds(1))
                    continue
                }
                state.withLock {
                    if let next, next != stamp { $0.problem = "frame \(stamp) came in place of \(next)" }
                    $0.read += 1
                }
                next = stamp + 1
                try consumer.letGo(index)
            }
        }
    }

    @Test("it goes on with the next one: no frame is lost, and none comes twice")
    func goesOn() throws {
        var registry = try RunningRegistry()
        let (stream, socket) = (Stream(), registry.socket)
        let producer = try WorkerThread(named: "producer") {
            stream.run { try $0.produce(PoolProducer(socket, count: 4)) }
        }
        try wait { try registry.run("list", "--json").output.contains("cam.3") }
        let consumer = try WorkerThread(named: "consumer") { stream.run { try $0.consume(PoolConsumer(socket)) } }
        for round in 0..<5 {
            let before = stream.read
            try wait(within: .seconds(30)) { stream.isOver || stream.read > before + 20 }
            if round < 4 { try registry.restart(after: .milliseconds(Int.random(in: 0...20))) }
        }
        stream.state.withLock { $0.isOver = true }
        _ = consume producer
        _ = consume consumer
        #expect(stream.state.withLock { $0.problem } == nil)
        _ = try registry.stop()
    }
}

/// A producer whose frames are their numbers, in the first bytes.
struct PoolProducer: ~Copyable {
    private var registry: RegistryConnection
    private var writer: PoolWriter
    private var buffers: [DescribedBuffer]

    init(_ socket: String, count: Int) throws {
        var registry = try RegistryConnection(at: socket, until: .patient)
        registry.answersWithin = .seconds(20)
        let memory = try (0..<count).map { _ in try MemFDExporter().export(.bytes(4096)) }
        var writer = try PoolWriter(memory, named: "cam", fixed: false, in: &registry, until: .patient)
        var buffers: [DescribedBuffer] = []
        while let buffer = try writer.take(&registry, until: .patient) { buffers.append(buffer) }
        try writer.publish(&registry, until: .patient)
        self.buffers = buffers
        self.registry = registry
        self.writer = writer
    }

    /// The device finishes a frame, if it has a buffer, and is given what there is.
    mutating func write(isDamaged: Bool = false) throws {
        try go()
        guard writer.isUnderWay else { return }
        let stamp = writer.finished
        let index = writer.finish(isDamaged: isDamaged)
        var mapping = try CPUImporter().attach(buffers[index].memory[0], for: .readWrite).map()
        try mapping.withWriteAccess { $0.storeBytes(of: stamp, toByteOffset: 0, as: UInt64.self) }
        try go()
    }

    /// Gives the device what there is, and says what is whole.
    mutating func go() throws {
        while true {
            let index = writer.next
            guard let buffer = try writer.take(&registry, until: .patient) else { break }
            buffers[index] = buffer
        }
        try writer.announce(&registry, until: .patient)
        // One of either kind at least.
        #expect(writer.taken > writer.announced && writer.taken - writer.announced <= UInt64(writer.count))
        if writer.announced > 0 { #expect(writer.taken - writer.announced < UInt64(writer.count)) }
    }

    mutating func renew() throws { try writer.renew(&registry, until: .patient) }

    consuming func end() throws { try writer.end(&registry, until: .patient) }

    consuming func die() {}
}

struct PoolConsumer: ~Copyable {
    private var registry: RegistryConnection
    private var reader: PoolReader
    var end: PoolReader.End? { reader.end }

    init(_ socket: String) throws {
        var registry = try RegistryConnection(at: socket, until: .patient)
        registry.answersWithin = .seconds(20)
        let reader = try PoolReader("cam", pins: true, in: &registry, until: .patient)
        self.registry = registry
        self.reader = reader
    }

    /// The next frame, if it is there: which buffer, and its number.
    mutating func read() throws -> (index: Int, stamp: UInt64)? {
        guard let frame = try reader.take(&registry, until: .now()) else { return nil }
        return (frame.index, try Self.stamp(of: frame.buffer))
    }

    private static func stamp(of buffer: DescribedBuffer) throws -> UInt64 {
        let mapping = try CPUImporter().attach(buffer.memory[0], for: .read).map()
        return try mapping.withReadAccess { bytes in Span<UInt64>(_bytes: bytes)[0] }
    }

    mutating func letGo(_ index: Int) throws { try reader.letGo(index, &registry, until: .patient) }

    mutating func renew() throws { try reader.renew(&registry, until: .patient) }

    consuming func finish() throws { try reader.detach(&registry, until: .patient) }
}

extension Deadline {
    fileprivate static var patient: Deadline { .after(.seconds(20)) }
}
