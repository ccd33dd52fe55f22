// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy a registered buffer's content into another, by the CPU or by a graphics processor.",
        discussion: """
            Begins after the work of those who write the source and of those who use the destination. Others wait for the \
            copy as for any work: a graphics processor's is a fence, in the registry and in the kernel's reservations, so \
            that a display or a camera's driver obeys it too. Ends when the copy is whole. An image is copied into one of \
            the same size and format, whose lines may lie differently.

            EXAMPLES:
              dmabuf-share copy frame backup
              dmabuf-share copy frame screen --on vulkan
              dmabuf-share copy frame screen --on vulkan:1 --within 0.5 --json
            """)

    @Argument(help: "The source, by its name or the 32 hexadecimal digits of its number.", completion: .registeredNames)
    var source: String

    @Argument(help: "The destination, likewise.", completion: .registeredNames)
    var destination: String

    @OptionGroup var user: UserOption

    @Option(help: ArgumentHelp("Who copies: cpu, or vulkan[:N].", valueName: "importer"))
    var on = ImporterName.cpu

    @Option(help: ArgumentHelp("How long to wait for the work of others, and for the copy.", valueName: "seconds"))
    var within = Seconds(2)

    @OptionGroup var options: RegistryOptions

    func validate() throws {
        guard on.text == "cpu" || on.gpuNumber != nil else {
            throw ValidationError("Only cpu and vulkan[:N] copy anything.")
        }
        if source == destination { throw ValidationError("A buffer is not copied into itself.") }
    }

    func run() throws {
        try asking(options) { registry in
            let gpu = try on.gpuNumber.map { (number) throws(DMABufError) in try GPU(number) }
            let from = try user.attach(source, &registry, AttachTerms(.read), until: options.deadline)
            let to = try user.attach(destination, &registry, AttachTerms(.readWrite), until: options.deadline)
            var places = [WorkPlace(from, .read), WorkPlace(to, .write)]
            let (begun, deadline) = (Deadline.now(), Deadline.after(within.duration))
            if let gpu {
                try copy(&places, by: gpu, &registry, until: deadline)
            } else {
                try copy(&places, &registry, until: deadline)
            }
            registry.tellFailedWork(of: places[0].attached, source, until: options.deadline)
            // Once this is answered the registry has seen the fence end, before it sees this process end.
            for place in places {
                _ = try? registry.ask(.detach(place.attached.attachment), until: options.deadline)
            }
            let by = gpu.map { "\($0.name) (\($0.model))" } ?? "cpu"
            try emit(CopyReport(places, by: by, since: begun), json: options.json)
        }
    }

    private var point: WorkPoint { WorkPoint(1, within: within.duration) }

    private func copy(
        _ places: inout [WorkPlace], by gpu: GPU, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws {
        let fence = try registry.submitWork(on: &places, as: point, until: deadline) {
            (buffers) throws(DMABufError) in
            try gpu.copy(gpu.attach(buffers[0]), to: gpu.attach(buffers[1]), until: deadline)
        }
        if case .failed(let error) = try fence?.wait(until: deadline) {
            throw DMABufError.system("\(gpu.name): copy", error)
        }
    }

    /// If it fails, its fence is not signalled: who waits learns at our end that it came to nothing.
    private func copy(
        _ places: inout [WorkPlace], _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws {
        let work = try EventFence()
        let (point, all) = (point, places)
        var promise = LastingPromise(of: point, on: all)
        try registry.submitWork(on: &places, as: point, until: deadline) { (buffers) throws(DMABufError) in
            try buffers[0].checkCopy(into: buffers[1])
            promise = LastingPromise(of: point, on: all)
            return work.fence
        }
        try copy(places[0].attached.buffer, into: places[1].attached.buffer, until: deadline) {
            () throws(RegistryError) in
            try promise.renew(&registry, until: deadline)
        }
        // After that the memory may be another, and nobody waited for the rest.
        guard !promise.end.hasPassed else { throw RegistryError.ruledOut(.noSuchFence) }
        try work.signal()
    }

    private func copy(
        _ source: DescribedBuffer, into destination: DescribedBuffer, until deadline: Deadline,
        _ isUnderWay: () throws(RegistryError) -> Void
    ) throws {
        var progress = Progress("copying", of: source.description.byteCount)
        defer { progress.end() }
        var failure: RegistryError?
        let isWhole = try source.copyContent(into: destination, until: deadline) { byteCount in
            progress.add(byteCount)
            do throws(RegistryError) { try isUnderWay() } catch { failure = error }
            return failure == nil && !deadline.hasPassed
        }
        if let failure { throw failure }
        if isWhole { return }
        throw DMABufError(
            .deadline, "the content could not be copied in time, and the destination has part of it",
            remedy: "allow more time: --within")
    }
}

extension ImporterName {
    /// The number of the graphics processor that it names.
    fileprivate var gpuNumber: Int? { VulkanImporter.number(of: text) }
}

struct CopyReport: Report {
    let source: Side
    let destination: Side
    let size: UInt64
    let by: String
    let duration: UInt64

    struct Side: Encodable {
        let id: String
        let generation: UInt64

        fileprivate init(_ attached: AttachedBuffer) {
            id = attached.id.hexadecimal
            generation = attached.generation.rawValue
        }
    }

    enum CodingKeys: String, CodingKey {
        case source, destination, size, by
        case duration = "duration_ns"
    }

    fileprivate init(_ places: [WorkPlace], by: String, since begun: Deadline) {
        source = Side(places[0].attached)
        destination = Side(places[1].attached)
        size = places[0].attached.buffer.description.byteCount
        self.by = by
        duration = Deadline.now().nanoseconds - begun.nanoseconds
    }

    var text: String {
        "copied \(humanBytes(size)), generation \(source.generation) into generation \(destination.generation), by \(by)\n"
    }
}
