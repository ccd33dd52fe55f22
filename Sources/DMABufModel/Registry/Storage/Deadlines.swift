// SPDX-License-Identifier: Apache-2.0

/// All deadlines in one binary heap that knows where each lies, so that cancelling one costs as little as adding it.
struct Deadlines: Sendable {
    /// What a deadline belongs to; the slot is that of the slab of its kind.
    enum Subject: Hashable, Sendable {
        case lease(Slot)
        case move(Slot)
        case revocation(Slot)
        case fence(Slot)
        case wait(Slot)
        case ticket(Slot)
        case token(Slot)
        case look(Slot)
        case absence(Slot)
        case settling
    }

    private struct Timer: Sendable {
        var end: Instant
        /// Of two with the same end the older goes first: the order of effects is the same in every run.
        var order: UInt64
        var subject: Subject
        var position: Int
    }

    private var timers = Slab<Timer>()
    private var heap: [Slot] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }
    var first: Instant? { heap.first.map { timers[$0].end } }

    mutating func add(_ end: Instant, for subject: Subject) -> Slot {
        let timer = timers.insert(Timer(end: end, order: nextOrder, subject: subject, position: heap.count))
        nextOrder += 1
        heap.append(timer)
        rise(heap.count - 1)
        return timer
    }

    /// Cancels `timer`, if there is one.
    mutating func cancel(_ timer: inout Slot?) {
        if let timer { remove(timer) }
        timer = nil
    }

    private mutating func remove(_ timer: Slot) {
        let position = timers[timer].position
        let last = heap.count - 1
        if position != last { place(heap[last], at: position) }
        heap.removeLast()
        timers.remove(timer)
        guard position < heap.count else { return }
        rise(position)
        sink(position)
    }

    /// The earliest that is due; it is gone afterwards.
    mutating func popDue(at now: Instant) -> Subject? {
        guard let timer = heap.first, timers[timer].end <= now else { return nil }
        let subject = timers[timer].subject
        remove(timer)
        return subject
    }

    /// Whether every timer comes after its parent and knows its place.
    var isInOrder: Bool {
        heap.indices.allSatisfy { index in
            timers[heap[index]].position == index && (index == 0 || !isBefore(index, (index - 1) / 2))
        }
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (timers[heap[left]], timers[heap[right]])
        return left.end == right.end ? left.order < right.order : left.end < right.end
    }

    private mutating func place(_ timer: Slot, at position: Int) {
        heap[position] = timer
        timers[timer].position = position
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        let timer = heap[left]
        place(heap[right], at: left)
        place(timer, at: right)
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0, isBefore(index, (index - 1) / 2) {
            exchange(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in (2 * index + 1)..<(2 * index + 3) where child < heap.count && isBefore(child, least) {
                least = child
            }
            guard least != index else { return }
            exchange(index, least)
            index = least
        }
    }
}
