// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
public import DMABufModel
public import DMABufSystem
import DMABufWire
import SystemPackage

// What the registry says unasked.

extension RegistryConnection {
    /// What the registry says unasked; nil at the deadline.
    ///
    /// Where the registry has died, to come back to the next one takes its own time, whatever is left of the deadline: whoever
    /// only looks now and then would never come back otherwise.
    public mutating func nextNotice(until deadline: Deadline) throws(RegistryError) -> Notice? {
        try nextNotice(until: deadline, comingBackUntil: max(deadline, .after(patience)))
    }

    private mutating func nextNotice(
        until deadline: Deadline, comingBackUntil end: Deadline
    ) throws(RegistryError) -> Notice? {
        if !notices.isEmpty { return notices.removeFirst() }
        do throws(ConnectionError) {
            while true {
                guard let incoming = try receiveNext(until: deadline, comingBackUntil: end) else {
                    return notices.removeFirst()
                }
                if case .notice(let notice) = incoming.envelope.message {
                    pages?.note(notice)
                    if case .released = notice { Failpoint.reach(.after, .release) }
                    return underWay.heard(notice)
                }
                if abandon(incoming.envelope) { continue }
                throw connection.end(.unexpected, .unexpected("an answer that nobody waits for"))
            }
        } catch {
            if error == .deadline { return nil }
            throw .connection(error)
        }
    }

    /// From the next registry, if this one dies; nil where there is word already of what became of the moves.
    private mutating func receiveNext(
        until deadline: Deadline, comingBackUntil end: Deadline
    ) throws(ConnectionError) -> Incoming? {
        while true {
            do throws(ConnectionError) { return try connection.receive(until: deadline) } catch {
                guard error == .closed, (try? resume(until: end)) == true else { throw error }
                if !notices.isEmpty { return nil }
            }
        }
    }

    /// As above; also nil as soon as `stop` is readable.
    public mutating func nextNotice(
        until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(RegistryError) -> Notice? {
        while notices.isEmpty {
            do throws(Errno) {
                let ready = try connection.withDescriptor { (socket) throws(Errno) in
                    try Poll.wait(socket, for: .readable, until: deadline, unless: stop)
                }
                if ready.isEmpty { return nil }
            } catch { throw .connection(.system(error)) }
            // What is there may be an answer that came too late.
            if let notice = try nextNotice(until: .now()) { return notice }
        }
        return notices.removeFirst()
    }

    /// The next notice that `isMeant`; those that come before it are kept, in order, for whoever asks for them.
    public mutating func nextNotice(
        until deadline: Deadline, unless stop: borrowing Descriptor, where isMeant: (Notice) -> Bool
    ) throws(RegistryError) -> Notice? {
        try firstNotice(where: isMeant) { (registry) throws(RegistryError) in
            try registry.nextNotice(until: deadline, unless: stop)
        }
    }

    /// As above, with nothing else that ends the wait.
    public mutating func nextNotice(
        until deadline: Deadline, where isMeant: (Notice) -> Bool
    ) throws(RegistryError) -> Notice? {
        try firstNotice(where: isMeant) { (registry) throws(RegistryError) in
            try registry.nextNotice(until: deadline)
        }
    }

    private mutating func firstNotice(
        where isMeant: (Notice) -> Bool, _ next: (inout RegistryConnection) throws(RegistryError) -> Notice?
    ) throws(RegistryError) -> Notice? {
        if let index = notices.firstIndex(where: isMeant) { return notices.remove(at: index) }
        var passed = notices
        notices.removeAll()
        defer { notices = passed + notices }
        while let notice = try next(&self) {
            if isMeant(notice) { return notice }
            guard passed.count < Self.noticeLimit else { throw .connection(tooManyNotices()) }
            passed.append(notice)
        }
        return nil
    }

    /// Lends the socket, to be waited for beside others. Notices that came with an answer are not seen there.
    public borrowing func withDescriptor<Result, Failure: Error>(
        _ body: (borrowing Descriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try connection.withDescriptor(body)
    }
}
