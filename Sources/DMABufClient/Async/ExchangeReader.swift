// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization
import SystemPackage

/// The thread that hears what the registry says, and finds the next one.
extension Exchange {
    func read() {
        var buffer = [UInt8](repeating: 0, count: Wire.messageLimit)
        while state.withLock({ $0.end }) == nil {
            let next = state.withLock { $0.firstDeadline }
            let token = try? poller.next(until: next)
            _ = attention.drain()
            if token == 0 { receive(&buffer) }
            // What lies unread may be what is waited for: this process can have been stopped meanwhile.
            var heard = 0
            while heard < 4096, next.hasPassed, receive(&buffer) { heard += 1 }
            endLate()
        }
        state.withLock { $0.link }.socket.shutdown()
    }

    /// Whether another registry has taken the place of the one that is gone, and knows this client.
    private func comeBack() -> Bool {
        guard let path, patience > .zero else { return false }
        let (old, secret) = state.withLock { ($0.link, $0.secret) }
        try? poller.remove(old.socket.descriptor)
        resumeSent()
        let end = Deadline.after(patience)
        while !end.hasPassed, state.withLock({ $0.end }) == nil {
            var hasJoined = false
            do throws(RegistryError) {
                let next = try Joining(path, .registry, secret, until: end)
                guard next.joined.client == client else { return false }
                let secret = next.joined.secret
                hasJoined = true
                let soon = UnderWay.isTold(by: end, answersWithin, patience)
                var following = NextRegistry(next.intoConnection(), until: soon)
                let said = try underWay.withLock { (underWay) throws(RegistryError) in
                    // If that one goes, too, the next is told from the beginning.
                    var next = underWay
                    let said = try next.goOn(without: []) { (request, fence) throws(RegistryError) in
                        try following.ask(request, fence)
                    }
                    underWay = next
                    return said
                }
                marks.withLock { $0.forgetMoves() }
                let heard = following.notices.map(self.heard)
                let link = Link(following.intoSocket())
                do throws(Errno) { try poller.add(link.socket.descriptor, token: 0) } catch { return false }
                // Some may have been noted as sent meanwhile: in one step, so that none is left over.
                resumeSent { state in
                    (state.link, state.secret) = (link, secret)
                    state.epoch += 1
                }
                // Whoever hears of it asks the one that it is about.
                for notice in said + heard { pass(notice) }
                unpark()
                return true
            } catch {
                // A registry that knows half of it would let others take the rest.
                if hasJoined, case .connection(.deadline) = error { return false }
                guard error.isOfAnEnd else { return false }
                let now = Deadline.now()
                unpark { $0 <= now }
                Clock.sleep(RegistryConnection.pause)
            }
        }
        return false
    }

    private func heard(_ notice: Notice) -> Notice {
        marks.withLock { $0.heard(notice) }
        return underWay.withLock { $0.heard(notice) }
    }

    func unpark(_ isMeant: @Sendable (Deadline) -> Bool = { _ in true }) {
        let meant = state.withLock { state in
            defer { state.parked.removeAll { isMeant($0.deadline) } }
            return state.parked.filter { isMeant($0.deadline) }
        }
        for one in meant { one.task.resume() }
    }

    /// Whether there was something, and may be more.
    @discardableResult
    private func receive(_ buffer: inout [UInt8]) -> Bool {
        let link = state.withLock { $0.link }
        do throws(ReceiveError) {
            guard let received = try link.socket.tryReceive(into: &buffer) else { return false }
            let count = received.byteCount
            let reply = Sent(received.descriptors)
            let envelope: Envelope
            do throws(WireError) {
                envelope = try Envelope(
                    decoding: buffer.span.extracting(first: count), descriptorCount: reply.descriptors.count)
            } catch {
                end(.connection(.wire(error)))
                return false
            }
            switch envelope.message {
            case .notice(let notice): pass(heard(notice))
            case .farewell(let farewell):
                end(.connection(.farewell(farewell)))
                return false
            default: resume(envelope.serial, .success(Reply(envelope.message, reply)))
            }
            return true
        } catch {
            switch error {
            case .closed, .system(.connectionReset): if !comeBack() { end() }
            case .system(let error): end(.connection(.system(error)))
            case .truncatedBytes:
                end(.connection(.wire(.tooLong(limit: Wire.messageLimit, has: Wire.messageLimit + 1))))
            case .truncatedDescriptors: end(.connection(.descriptorsLost))
            }
            return false
        }
    }

    private func pass(_ notice: Notice) {
        switch notices.yield(notice) {
        case .dropped: end(.connection(.unexpected("more notices than anybody reads")))
        // Who listened was cancelled: the notice is dropped here, and what it asks is refused.
        case .terminated: _ = ReceivedNotice(notice, self)
        default: break
        }
    }

    private func endLate() {
        let now = Deadline.now()
        let late = state.withLock { state in state.waiting.filter { $0.value.deadline <= now }.map(\.key) }
        for serial in late { giveUp(serial) }
        unpark { $0 <= now }
    }
}
