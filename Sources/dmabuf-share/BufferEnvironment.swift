// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem

/// A buffer on its way to a command: descriptors from number 3 on, described by its environment (see PROTOCOL.md).
struct BufferEnvironment: ~Copyable {
    private(set) var variables: [String: String] = [:]
    private(set) var descriptors = DescriptorList()

    init(_ buffer: DescribedBuffer, name: String?, fences: [Fence] = []) throws(DMABufError) {
        for memory in buffer.memory { descriptors.append(try memory.duplicateDescriptor()) }
        for fence in fences { descriptors.append(try fence.duplicateDescriptor()) }
        let first = 3
        let numbers = (0..<buffer.memory.count + fences.count).map { first + $0 }
        variables["DMABUF_FDS"] = numbers.prefix(buffer.memory.count).map(String.init).joined(separator: " ")
        variables["DMABUF_SIZES"] = buffer.description.sizes.map(String.init).joined(separator: " ")
        variables["DMABUF_KIND"] = buffer.kind.rawValue
        variables["DMABUF_NAME"] = name
        if !fences.isEmpty {
            variables["DMABUF_FENCE_FDS"] = numbers.suffix(fences.count).map(String.init).joined(separator: " ")
        }
        if let image = buffer.description.image { describe(image, first: first) }
    }

    private mutating func describe(_ image: ImageLayout, first: Int) {
        variables["DMABUF_WIDTH"] = String(image.width)
        variables["DMABUF_HEIGHT"] = String(image.height)
        variables["DMABUF_FOURCC"] = PixelFormat.text(of: image.fourcc)
        variables["DMABUF_MODIFIER"] = "0x" + String(image.modifier.rawValue, radix: 16)
        variables["DMABUF_PLANES"] = image.planes.map { "\(first + $0.memory):\($0.offset):\($0.stride)" }
            .joined(separator: " ")
    }

    private static let names = [
        "FDS", "SIZES", "KIND", "NAME", "FENCE_FDS", "WIDTH", "HEIGHT", "FOURCC", "MODIFIER", "PLANES",
    ].map { "DMABUF_\($0)=" }

    /// This process's environment with ours in place of any description that was there.
    var environment: [CommandWord] {
        OwnProcess.environment.filter { entry in !Self.names.contains { entry.hasPrefix($0) } }
            + variables.sorted { $0.key < $1.key }.map { CommandWord("\($0.key)=\($0.value)") }
    }

    /// Runs a command with the buffer and waits for its end; the status is its own. Only its terminal's signals and
    /// those sent to it end it: this process stays until then.
    func run(_ command: [CommandWord]) throws -> Int32 {
        let signals = try signalsForCommands()
        let child = try start(command, environment: environment, descriptors: descriptors)
        return try waitForEnd(of: child, signals)
    }

    /// As above, as a client of the registry.
    func attend(_ command: [CommandWord]) throws -> AttendedCommand {
        try AttendedCommand(command, environment: environment, descriptors: descriptors)
    }
}
