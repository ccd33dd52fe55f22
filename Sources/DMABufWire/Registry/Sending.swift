// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Why a message is not sent: it says what the wire has no room or no word for.
public struct UnsendableMessage: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

extension Message {
    /// Throws unless the wire can say it.
    ///
    /// Rule: *what a program or a person has put into a request is looked at before it is encoded.* The registry ends a
    /// connection over a malformed message, and the encoder traps; whoever mistyped a name deserves a sentence.
    public func checkSendable() throws(UnsendableMessage) {
        switch self {
        case .request(let request): try request.checkSendable()
        case .register(let buffer): try check(optionalName: buffer.name)
        case .allocate(let allocation):
            try check(optionalName: allocation.name)
            try check(exporter: allocation.exporter)
        case .commitMove(let next): try check(next.generation)
        default: break
        }
    }
}

extension Request {
    fileprivate func checkSendable() throws(UnsendableMessage) {
        switch self {
        case .attach(_, let terms): try terms.checkSendable()
        case .attachNamed(let name, let uid, let terms):
            try check(name: name)
            try check(uid: uid)
            try terms.checkSendable()
        case .beginAccess(let id, let generation, let access):
            try check(id)
            try check(generation)
            guard access.isValid else { throw UnsendableMessage("an access reads, writes, or both") }
        case .acknowledge(let id, let generation, _), .refuseMove(let id, let generation):
            try check(id)
            try check(generation)
        case .addFence(let id, _, let lock):
            try check(id)
            try check(lock)
        case .map(let id), .detach(let id), .pin(let id), .unpin(let id), .endAccess(let id),
            .acknowledgeRevoke(let id), .restore(let id), .reserve(let id, _), .renewFence(let id, _, _),
            .snapshot(let id, _), .wait(let id, _, _), .renew(let id, _):
            try check(id)
        default: try checkRarer()
        }
    }

    private func checkRarer() throws(UnsendableMessage) {
        switch self {
        case .name(_, let name): try check(name: name)
        case .lookup(let name, let uid):
            try check(name: name)
            try check(uid: uid)
        case .makeToken(let token, _, let terms):
            try check(token)
            try check(terms.parent)
            try check(terms.lasts, "token")
            if terms.uses == 0 { throw UnsendableMessage("a token has a use at least, or any number") }
        case .withdrawToken(let token): try check(token)
        case .inspect(_, let token): try check(token)
        case .beginMove(_, let generation, let terms):
            try check(generation)
            try check(terms.token)
            try check(terms.lock)
            try check(exporter: terms.placement)
        case .abortMove(_, let generation): try check(generation)
        case .revoke(_, let terms):
            try check(terms.token)
            if case .attachment(let id) = terms.target { try check(id) }
        case .lock(let buffers, _, _):
            guard buffers.count <= Wire.lockLimit else {
                throw UnsendableMessage("\(buffers.count) buffers are locked at once, and \(Wire.lockLimit) may be")
            }
        case .unlock(let number): try check(number)
        case .register, .commitMove: throw UnsendableMessage("memory is sent with a message of its own")
        default: break
        }
    }
}

extension AttachTerms {
    fileprivate func checkSendable() throws(UnsendableMessage) {
        guard access.isValid else { throw UnsendableMessage("an attachment is for reading, for writing, or both") }
        try check(token)
        try check(lease, "lease")
    }
}

private func check(name: String) throws(UnsendableMessage) {
    guard (1...Wire.registryNameLimit).contains(name.utf8.count) else {
        throw UnsendableMessage(
            "a buffer's name has 1 to \(Wire.registryNameLimit) bytes, and this one has \(name.utf8.count)")
    }
    guard Wire.isClean(name) else { throw UnsendableMessage("a buffer's name has no control characters") }
}

private func check(optionalName name: String?) throws(UnsendableMessage) {
    if let name { try check(name: name) }
}

private func check(exporter: String?) throws(UnsendableMessage) {
    guard let exporter else { return }
    guard (1...Wire.nameLimit).contains(exporter.utf8.count), Wire.isClean(exporter) else {
        throw UnsendableMessage("an exporter's name has 1 to \(Wire.nameLimit) bytes, and no control characters")
    }
}

private func check(uid: UInt32?) throws(UnsendableMessage) {
    if uid == .max { throw UnsendableMessage("\(UInt32.max) is no user's number") }
}

private func check(_ token: TokenID?) throws(UnsendableMessage) {
    if token == TokenID(high: 0, low: 0) { throw UnsendableMessage("a token of zeros is none") }
}

private func check(_ interval: Interval?, _ what: String) throws(UnsendableMessage) {
    if interval?.nanoseconds == 0 { throw UnsendableMessage("a \(what) lasts for some time, or without end") }
}

private func check<Number: WireNumber>(_ number: Number?) throws(UnsendableMessage) {
    if number?.rawValue == 0 { throw UnsendableMessage("0 is no \(Number.field)'s number") }
}
