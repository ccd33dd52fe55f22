// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// The work on a buffer that a command which is given it has to wait for before it reads, as descriptors for it: one for what
/// was promised to the registry, of which no descriptor leaves that, and one for what drivers have under way.
struct WorkUnderWay: ~Copyable {
    private let attachment: AttachmentID
    private var promised: Set<FenceID>
    private let ended: EventFence?
    private let kernel: Fence?
    private var pause = Duration.milliseconds(1)
    private static let longestPause = Duration.milliseconds(20)

    init(
        on attached: AttachedBuffer, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws {
        let promised = try Self.pending(attached.attachment, &registry, until: deadline)
        let ended = promised.isEmpty ? nil : try EventFence()
        let fence = try attached.buffer.fence(waitingBefore: .read)
        let kernel = try fence?.status() == .pending ? fence : nil
        (attachment, self.promised, self.ended, self.kernel) = (attached.attachment, promised, ended, kernel)
    }

    var fences: [Fence] { [ended?.fence, kernel].compactMap { $0 } }

    /// Says that it has ended once it has, and otherwise when to look again. Each promise has an end of its own. A wait of the
    /// registry's would hold up who hears for the command.
    mutating func look(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError)
        -> Deadline?
    {
        guard !promised.isEmpty else { return nil }
        do throws(RegistryError) {
            promised.formIntersection(try Self.pending(attachment, &registry, until: deadline))
        } catch {
            // Who lost the buffer waits for nobody.
            guard case .ruledOut = error else { throw error }
            promised = []
        }
        if promised.isEmpty {
            try? ended?.signal()
            return nil
        }
        defer { pause = min(pause * 2, Self.longestPause) }
        return .after(pause)
    }

    private static func pending(
        _ attachment: AttachmentID, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Set<FenceID> {
        let request = Request.snapshot(attachment, .waited(before: .read))
        guard case .snapshot(_, let fences) = try registry.ask(request, until: deadline) else { return [] }
        return Set(fences)
    }

    deinit { try? ended?.signal() }
}
