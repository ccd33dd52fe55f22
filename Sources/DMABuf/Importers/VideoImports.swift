// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import Synchronization
import SystemPackage

/// What is attached to one video node through one file. A queue gives up no single buffer: it is let go with all others,
/// and those that stay are attached again.
final class VideoImports: Sendable {
    let node: V4L2Node
    let type: V4L2.BufferType
    private struct State {
        var attached: [(id: Int, buffer: DMABuffer)] = []
        var nextID = 0
        var needsContiguous: Bool?
    }

    private let state = Mutex(State())

    init(_ node: V4L2Node, _ type: V4L2.BufferType) {
        self.node = node
        self.type = type
    }

    /// Looked at once, as soon as it matters and the queue is free; nil until then.
    var needsContiguous: Bool? {
        state.withLock { state in
            if state.needsContiguous == nil, state.attached.isEmpty {
                state.needsContiguous = node.needsContiguous(type)
            }
            return state.needsContiguous
        }
    }

    func attach(_ buffer: DMABuffer) throws(Errno) -> VideoImport {
        let id = try state.withLock { state -> Result<Int, Errno> in
            state.nextID += 1
            state.attached.append((state.nextID, buffer))
            do throws(Errno) { try attachAll(state.attached.map(\.buffer)) } catch {
                state.attached.removeLast()
                try? attachAll(state.attached.map(\.buffer))
                return .failure(error)
            }
            return .success(state.nextID)
        }.get()
        return VideoImport(self, id)
    }

    fileprivate func detach(_ id: Int) {
        state.withLock { state in
            state.attached.removeAll { $0.id == id }
            // What was attached before can be attached again.
            try? attachAll(state.attached.map(\.buffer))
        }
    }

    private func attachAll(_ buffers: [DMABuffer]) throws(Errno) {
        try node.requestBuffers(0, type, .dmaBuf)
        guard !buffers.isEmpty else { return }
        let frame = try node.format(of: type).memories.map { Int($0.byteCount) }
        let count = try node.requestBuffers(buffers.count, type, .dmaBuf)
        guard count >= buffers.count else { throw .noMemory }
        for (index, buffer) in buffers.enumerated() {
            var list = DescriptorList()
            for _ in frame { list.append(try buffer.descriptor.duplicate()) }
            try node.prepare(index, type, list, byteCounts: type.isOutput ? frame : [])
        }
    }
}

/// A buffer that a video node has attached, until the value ends.
struct VideoImport: ~Copyable, Sendable {
    private let imports: VideoImports
    private let id: Int

    fileprivate init(_ imports: VideoImports, _ id: Int) {
        self.imports = imports
        self.id = id
    }

    deinit { imports.detach(id) }
}
