// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire

// A request goes out and its answer comes in; what the registry says in between is kept.

extension RegistryConnection {
    mutating func granted(
        _ request: Request, for access: DMABufModel.Access, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        var reply = try exchange(.request(request), DescriptorList(), until: deadline)
        guard case .granted(let grant) = reply.envelope.message else { throw unexpected(reply.envelope) }
        if let word = grant.word, pages?.hold(grant, word, for: access) != true { throw unexpected(reply.envelope) }
        do throws(DMABufError) { return try imports.take(grant, &reply.descriptors) } catch { throw .local(error) }
    }

    /// Sends, and waits for the answer of that number. A refusal is thrown. See Resuming.swift for what happens when the
    /// registry dies. Who is to come back first is waited for until `patient`, if that is sooner.
    mutating func exchange(
        _ message: Message, _ descriptors: borrowing DescriptorList, until deadline: Deadline,
        patient: Deadline? = nil
    ) throws(RegistryError) -> Incoming {
        try message.checkSendable(with: descriptors)
        while true {
            let failure: RegistryError
            do throws(RegistryError) { return try exchangeOnce(message, descriptors, until: deadline) } catch {
                if case .ruledOut(.settling) = error, (patient ?? deadline).remaining > Self.pause {
                    Clock.sleep(Self.pause)
                    continue
                }
                guard case .connection(.closed) = error else { throw error }
                failure = error
            }
            let mayAsk = !wasSent || message.mayBeAskedAgain
            guard try resume(until: deadline) else { throw failure }
            guard mayAsk else { throw .restarted }
        }
    }

    mutating func exchangeOnce(
        _ message: Message, _ descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(RegistryError) -> Incoming {
        let reply: Incoming
        var serial: UInt64?
        wasSent = false
        do throws(ConnectionError) {
            Failpoint.reach(.before, message)
            underWay.sending(message)
            let sent = try connection.send(message, with: descriptors, until: deadline)
            serial = sent
            wasSent = true
            Failpoint.reach(.during, message)
            reply = try answer(to: sent, until: deadline)
            Failpoint.reach(.after, message)
        } catch {
            if error == .deadline, let serial { givenUp[serial] = message }
            throw .connection(error)
        }
        underWay.answered(message, reply.envelope.message)
        switch reply.envelope.message {
        case .answer(.refused(let refusal)): throw .ruledOut(refusal)
        case .refused(let refusal): throw .refused(refusal)
        default: return reply
        }
    }

    /// Notices that come before it are kept. An answer to a request whose wait was given up is nobody's.
    private mutating func answer(to serial: UInt64, until deadline: Deadline) throws(ConnectionError) -> Incoming {
        while true {
            let incoming = try connection.receive(until: deadline)
            if case .notice(let notice) = incoming.envelope.message {
                guard notices.count < Self.noticeLimit else { throw tooManyNotices() }
                keep(notice)
            } else if incoming.envelope.serial == serial {
                return incoming
            } else {
                abandon(incoming.envelope)
            }
        }
    }

    mutating func keep(_ notice: Notice) {
        notices.append(underWay.heard(notice))
        pages?.note(notice)
    }

    mutating func tooManyNotices() -> ConnectionError {
        connection.end(.unexpected, .unexpected("more notices than anybody reads"))
    }

    /// False if nobody ever waited for it. What it granted is given back, and that is not waited for either.
    @discardableResult
    mutating func abandon(_ envelope: Envelope) -> Bool {
        guard let request = givenUp.removeValue(forKey: envelope.serial) else { return false }
        if let giving = envelope.message.givingBack(request).map(Message.request),
            let serial = try? connection.send(giving, until: .after(.milliseconds(100)))
        {
            givenUp[serial] = giving
        }
        return true
    }

    mutating func unexpected(_ envelope: Envelope) -> RegistryError {
        .connection(connection.end(.unexpected, .unexpected("another kind of answer")))
    }
}
