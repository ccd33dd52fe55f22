// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// The work on a buffer that a command which is given it has to wait for before it reads, as descriptors for it: one for what
/// was promised to the registry, of which no descriptor leaves that, and one for what drivers have under way.
struct WorkUnderWay: ~Copyable {
    private let attachment: AttachmentID
    /// Until what was promised has ended.
    private var isPending: Bool
    private let ended: EventFence?
    private let kernel: Fence?
    private var pause = Duration.milliseconds(1)
    private static let longestPause = Duration.milliseconds(20)

    init(
        on attached: AttachedBuffer, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws {
        let isPending = try Self.isPending(attached.attachment, &registry, until: deadline)
        let ended = isPending ? try EventFence() : nil
        let fence = try attached.buffer.fence(waitingBefore: .read)
        let kernel = try fence?.status() == .pending ? fence : nil
        (attachment, self.isPending, self.ended, self.kernel) = (attached.attachment, isPending, ended, kernel)
    }

    var fences: [Fence] { [ended?.fence, kernel].compactMap { $0 } }

    /// Says that it has ended: also where nobody will know, for the command must not wait for ever.
    var giveUp: () -> Void { { [ended] in try? ended?.signal() } }

    /// Says that it has ended once it has, and otherwise when to look again.
    mutating func look(
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Deadline? {
        guard isPending else { return nil }
        isPending = try Self.isPending(attachment, &registry, until: deadline)
        if !isPending {
            giveUp()
            return nil
        }
        defer { pause = min(pause * 2, Self.longestPause) }
        return .after(pause)
    }

    /// A wait that is over at once: it counts what has been superseded, too, and is not answered before all who were there
    /// before a restart are back. A longer one would hold up who hears for the command.
    private static func isPending(
        _ attachment: AttachmentID, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Bool {
        let request = Request.wait(attachment, .waited(before: .read), within: Interval(nanoseconds: 0))
        do throws(RegistryError) { try registry.askNow(request, until: deadline) } catch {
            switch error {
            case .ruledOut(.timedOut), .ruledOut(.settling): return true
            // Who lost the buffer waits for nobody.
            case .ruledOut: return false
            default: throw error
            }
        }
        return false
    }

    deinit { try? ended?.signal() }
}
