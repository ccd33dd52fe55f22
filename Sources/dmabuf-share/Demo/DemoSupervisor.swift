// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufDevices
import DMABufModel
import DMABufSystem
import SystemPackage

/// Starts the two processes, prints their steps as they come, kills the producer, and looks at the end whether anyone
/// still holds the memory.
struct DemoSupervisor {
    let exporter: any Exporter
    let attempts: [String]
    /// Where the registry serves; nil: where nobody else looks.
    let socket: String?
    /// Where lines for people go, as they happen.
    let show: (String) throws -> Void

    struct Result: Report {
        let exporter: String
        let real: Bool
        let verified: Bool
        let steps: [DemoStep]
        let nanoseconds: UInt64

        enum CodingKeys: String, CodingKey {
            case exporter, real, verified, steps
            case nanoseconds = "duration_ns"
        }

        var text: String {
            let time = humanTime(.nanoseconds(Int64(clamping: nanoseconds)))
            let what =
                real ? "real dma-bufs of \(exporter)" : "the stand-in (memfd), which takes a dma-buf's place"
            guard verified else { return "FAILED with \(what), after \(time)\n" }
            return "\(steps.count) steps verified in \(time) with \(what)\n"
        }
    }

    func run() throws -> Result {
        let start = Deadline.now()
        try show("dmabuf-share demo: two processes, one buffer, exporter \(exporter.name)\n")
        for attempt in attempts { try show("  tried   \(attempt)\n") }
        let steps = try play()
        let result = Result(
            exporter: exporter.name, real: !exporter.offer.traits.contains(.standIn),
            verified: !steps.contains { $0.outcome == .failed } && steps.last?.id == "survive registry",
            steps: steps, nanoseconds: Deadline.now().nanoseconds - start.nanoseconds)
        try show(result.text)
        return result
    }

    private func play() throws -> [DemoStep] {
        let passing = try UnixSocket.pair()
        let producer = try DemoProcess("producer", exporter: exporter.name, passing: passing.first)
        let consumer = try DemoProcess("consumer", exporter: exporter.name, passing: passing.second)
        _ = consume passing
        var log = DemoLog(show: show)
        do {
            guard
                let inode = try log.follow(producer, until: "inode").split(separator: "\t").last.flatMap({ UInt64($0) })
            else { throw DemoFailure("the producer named no inode") }
            try log.follow(producer, until: "step\tpass")
            try log.follow(consumer, until: "ready")
            try producer.channel.send("write")
            try log.follow(producer, until: "step\twrite")
            try log.follow(consumer, until: "holding")
            try log.add("kill") { try producer.kill() }
            try consumer.channel.send("killed")
            try log.follow(consumer, until: "step\trelease")
            try log.add("end") {
                guard try consumer.wait() == .exited(0) else { throw DemoFailure("the consumer did not end well") }
                return try expectNoHolder(of: inode)
            }
        } catch {
            // A failed step is in the log already; a process that ended without a word is not.
            log.fail((error as? DemoFailure)?.text ?? "\(error)")
        }
        producer.abandon()
        consumer.abandon()
        guard log.steps.last?.id == "end" else { return log.steps }
        try show("the same memory through a registry: an owner, three importers\n")
        do { try DemoRegistry(exporter: exporter.name, socket: socket).play(&log) } catch { log.fail("\(error)") }
        return log.steps
    }

    private func expectNoHolder(of inode: UInt64) throws -> String {
        let holders =
            exporter.offer.traits.contains(.standIn)
            ? Inventory.holders(ofMemFD: inode)
            : Inventory.take().buffers.first { $0.inode == inode }?.holders.map(\.process) ?? []
        guard holders.isEmpty else { throw DemoFailure("still held by process(es) \(holders)") }
        return "nobody holds the memory any more; the kernel has it back"
    }
}

/// The steps so far.
struct DemoLog {
    let show: (String) throws -> Void
    private(set) var steps: [DemoStep] = []

    init(show: @escaping (String) throws -> Void) {
        self.show = show
    }

    /// Takes messages from a process until one begins with `prefix`, and returns that.
    @discardableResult
    mutating func follow(_ process: borrowing DemoProcess, until prefix: String) throws -> String {
        while true {
            let text: String
            do { text = try process.channel.receive() } catch { throw DemoFailure("\(process.role): \(error)") }
            if let step = DemoStep(parsing: text) { try append(step) }
            if text.hasPrefix(prefix) { return text }
        }
    }

    /// A step of the supervisor's own.
    mutating func add(_ id: String, _ work: () throws -> String) throws {
        let start = Deadline.now()
        let detail = try work()
        try append(
            DemoStep(id: id, outcome: .ok, detail: detail, nanoseconds: Deadline.now().nanoseconds - start.nanoseconds))
    }

    /// The end of a demo that went wrong, unless its last step has told already.
    mutating func fail(_ text: String) {
        guard steps.last?.outcome != .failed else { return }
        let step = DemoStep(id: "demo", outcome: .failed, detail: text, nanoseconds: 0)
        steps.append(step)
        try? show(step.line)
    }

    private mutating func append(_ step: DemoStep) throws {
        steps.append(step)
        try show(step.line)
        if step.outcome == .failed { throw DemoFailure(step.detail) }
    }
}
