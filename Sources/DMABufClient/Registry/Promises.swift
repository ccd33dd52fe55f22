// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire

/// The fences that a client has promised and that may not have ended, for the registry may be restarted meanwhile. One for
/// each timeline of each attachment, as in the registry's own table: a newer one takes an older one's place.
struct Promises {
    /// Beyond that many the next registry is told of the first ones alone.
    static let limit = 256

    private struct Context: Hashable {
        let attachment: AttachmentID
        let timeline: UInt32
    }

    private struct Promise {
        let fence: Fence
        let terms: FenceTerms
        var end: Deadline
        /// nil: it was named when an access ended, and nobody was told its number.
        let id: FenceID?
        let order: Int
    }

    private var kept: [Context: Promise] = [:]
    /// What the next registry calls them, and how their promiser knows them.
    private var names: [FenceID: FenceID] = [:]
    private var nextLook = 16
    private var nextOrder = 0

    var count: Int { kept.count }

    mutating func add(_ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, _ id: FenceID?) {
        if kept.count >= nextLook { forgetEnded() }
        let context = Context(attachment: attachment, timeline: terms.timeline)
        guard kept.count < Self.limit || kept[context] != nil else { return }
        let end = Deadline.after(Duration(terms.within))
        kept[context] = Promise(fence: fence, terms: terms, end: end, id: id, order: nextOrder)
        nextOrder += 1
    }

    mutating func renewed(_ attachment: AttachmentID, _ timeline: UInt32, _ within: Interval) {
        kept[Context(attachment: attachment, timeline: timeline)]?.end = .after(Duration(within))
    }

    /// Each look costs a system call for each fence, so the next is when there are twice as many.
    private mutating func forgetEnded() {
        kept = kept.filter { (try? $0.value.fence.status()) == .pending }
        nextLook = max(16, min(2 * kept.count, Self.limit))
    }

    /// The fence that has expired, as its promiser knows it.
    mutating func expired(_ id: FenceID) -> FenceID {
        let known = names.removeValue(forKey: id) ?? id
        kept = kept.filter { $0.value.id != known }
        return known
    }

    /// Promises them again, each for what is left of its time; one that is late is an error at once.
    mutating func goOn(_ ask: UnderWay.Ask) throws(RegistryError) {
        forgetEnded()
        var names: [FenceID: FenceID] = [:]
        // In their order, for a later write that ends well makes an earlier failure good.
        for (context, promise) in kept.sorted(by: { $0.value.order < $1.value.order }) {
            var terms = promise.terms
            terms.within = Interval(nanoseconds: max(1, promise.end.remaining.clampedNanoseconds))
            do throws(RegistryError) {
                _ = try ask(.reserve(context.attachment, slots: 1), nil)
                guard
                    case .answer(.fenceAdded(let id)) = try ask(
                        .addFence(context.attachment, terms, lock: nil), promise.fence)
                else { continue }
                names[id] = promise.id
            } catch {
                // Its attachment is over.
                guard case .ruledOut = error else { throw error }
            }
        }
        self.names = names
    }
}
