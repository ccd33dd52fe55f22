// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire

/// A connection to it, before tasks use it: one question at a time.
struct NextRegistry: ~Copyable {
    private var connection: Connection
    private let end: Deadline
    /// What it has said meanwhile.
    private(set) var notices: [Notice] = []

    init(_ connection: consuming Connection, until end: Deadline) {
        self.connection = connection
        self.end = end
    }

    mutating func ask(_ request: Request, _ fence: Fence?) throws(RegistryError) -> Message {
        let passed = try fence.map { (fence) throws(RegistryError) in try fence.duplicates() }
        let message: Message
        do throws(ConnectionError) { message = try answer(to: .request(request), passed ?? DescriptorList()) } catch {
            throw .connection(error)
        }
        if case .answer(.refused(let refusal)) = message { throw .ruledOut(refusal) }
        return message
    }

    private mutating func answer(
        to message: Message, _ passed: borrowing DescriptorList
    ) throws(ConnectionError) -> Message {
        let serial = try connection.send(message, with: passed, until: end)
        while true {
            let incoming = try connection.receive(until: end)
            if incoming.envelope.serial == serial { return incoming.envelope.message }
            if case .notice(let notice) = incoming.envelope.message { notices.append(notice) }
        }
    }

    consuming func intoSocket() -> UnixSocket { connection.intoSocket() }
}
